// Package sns decodes and verifies messages that Amazon SNS posts to an HTTP
// address.
//
// The one idea is that a message is used only as the very bytes that were
// signed: Decode is stricter than encoding/json, so that there is one reading
// of a body, and Verify checks in an order that costs nothing before the topic
// is known to be ours. Every AWS account can make SNS sign something; only the
// registered topic makes a message genuine.
//
// The receiver in package api calls Decode, then a Verifier. The package
// fetches nothing itself but the certificate, by the function given to the
// Verifier; it never fetches the URLs inside a message, and does not act on
// what a message says. Formats and rules: Amazon SNS developer guide,
// "Verifying the signatures of Amazon SNS messages".
package sns

import (
	"errors"
	"fmt"
	"time"
)

// The types of messages.
const (
	TypeNotification = "Notification"
	TypeSubscription = "SubscriptionConfirmation"
	TypeUnsubscribe  = "UnsubscribeConfirmation"
)

// MaxBody is how long a body may be, in bytes. A message is at most 256 KiB;
// its JSON form may be longer.
const MaxBody = 512 << 10

// maxMessage is the longest Message, in bytes (SNS quotas).
const maxMessage = 256 << 10

// Kinds of refusals, for errors.Is.
var (
	// ErrInvalid is a body that is no SNS message.
	ErrInvalid = errors.New("not an SNS message")
	// ErrRefused is a message that is not genuine, or not for us.
	ErrRefused = errors.New("refused")
	// ErrUnavailable is a message that cannot be judged now: its certificate
	// could not be fetched. The sender should try again.
	ErrUnavailable = errors.New("cannot be verified now")
)

// A Message is a decoded body. Until Verify succeeded it is what somebody
// wrote. Members that do not belong to its type are empty.
type Message struct {
	Type, ID, TopicARN, Message string
	Subject                     string // HasSubject tells an empty one from none
	HasSubject                  bool
	Timestamp                   string // as signed, ISO 8601 with milliseconds
	Token, SubscribeURL         string // of confirmations
	SignatureVersion            string
	Signature                   string // base64
	SigningCertURL              string
}

// Time returns the time of the message.
func (m *Message) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, m.Timestamp)
	if err != nil {
		return t, fmt.Errorf("timestamp %.40q: %w", m.Timestamp, ErrInvalid)
	}
	return t, nil
}

// stringToSign joins the signed members in their order: name, line feed,
// value, line feed.
func (m *Message) stringToSign() string {
	var text string
	add := func(name, value string) { text += name + "\n" + value + "\n" }
	add("Message", m.Message)
	add("MessageId", m.ID)
	if m.Type == TypeNotification {
		if m.HasSubject {
			add("Subject", m.Subject)
		}
	} else {
		add("SubscribeURL", m.SubscribeURL)
	}
	add("Timestamp", m.Timestamp)
	if m.Type != TypeNotification {
		add("Token", m.Token)
	}
	add("TopicArn", m.TopicARN)
	add("Type", m.Type)
	return text
}
