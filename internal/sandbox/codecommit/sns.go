package codecommit

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A topic is an SNS topic. Its fields are guarded by Server.mu.
type topic struct {
	arn           string
	attributes    map[string]string
	subscriptions []*subscription
	events        bool // is a target of EventBridge-shaped events
}

// A subscription delivers a topic's messages to an endpoint. Its fields are
// guarded by Server.mu.
type subscription struct {
	ARN           string
	Protocol      string // "http" or "https"
	Endpoint      string
	Token         string // that confirms it
	Asked         time.Time
	Confirmed     bool
	Authenticated bool // only signed calls may end it
	Attributes    map[string]string
}

// tokenLife is how long a subscription can be confirmed.
const tokenLife = 2 * 24 * time.Hour

// A delivery is one message on its way to one endpoint.
type delivery struct {
	kind         string // Type of the message
	id           string // MessageId
	topic        string // ARN
	subscription string // ARN, "" on SubscriptionConfirmation
	endpoint     string
	raw          bool
	body         []byte
	wait         time.Duration // before the first try
	retries      retryPolicy
}

// A variant changes a message on its way out, for notify.
type variant struct {
	copies int
	forged bool          // sign with a signature that does not fit
	age    time.Duration // how far back the Timestamp lies
	wait   time.Duration // before it is sent
}

// topicByARN finds a topic; the caller holds s.mu.
func (s *Server) topicByARN(arn string) *topic {
	f := strings.SplitN(arn, ":", 6)
	if len(f) != 6 || s.regions[f[3]] == nil {
		return nil
	}
	return s.regions[f[3]].topics[arn]
}

// publish sends a message to the confirmed subscriptions of a topic and
// returns the message's id, "" if there is no such topic.
func (s *Server) publish(arn, subject, message string) (id string) {
	return s.publishVariant(arn, subject, message, variant{copies: 1})
}

func (s *Server) publishVariant(arn, subject, message string, v variant) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topicByARN(arn)
	if t == nil {
		return ""
	}
	m := s.envelope(t, "Notification", message)
	m["Timestamp"] = timestamp(s.cfg.Now().Add(-v.age))
	if subject != "" {
		m["Subject"] = subject
	}
	for _, sub := range t.subscriptions {
		if !sub.Confirmed {
			continue
		}
		m["UnsubscribeURL"] = s.url + "/?Action=Unsubscribe&SubscriptionArn=" + url.QueryEscape(sub.ARN)
		d := s.seal(t, sub, m, v.forged)
		d.wait = v.wait
		for range v.copies {
			s.queue = append(s.queue, d)
		}
	}
	s.signalQueue()
	return m["MessageId"]
}

// timestamp writes a time as SNS does.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// envelope returns the members that every message has. The caller holds s.mu.
func (s *Server) envelope(t *topic, kind, message string) map[string]string {
	return map[string]string{
		"Type":      kind,
		"MessageId": newUUID(),
		"TopicArn":  t.arn,
		"Message":   message,
		"Timestamp": timestamp(s.cfg.Now()),
	}
}

// seal signs a message and addresses it. The caller holds s.mu.
func (s *Server) seal(t *topic, sub *subscription, m map[string]string, forged bool) delivery {
	version := t.attributes["SignatureVersion"]
	if version == "" {
		version = "1"
	}
	m["SignatureVersion"] = version
	m["SigningCertURL"] = s.url + s.notary.path
	m["Signature"] = s.notary.sign(version, m)
	if forged {
		other := map[string]string{"Type": m["Type"], "Message": "something else"}
		m["Signature"] = s.notary.sign(version, other)
	}
	d := delivery{kind: m["Type"], id: m["MessageId"], topic: t.arn, endpoint: sub.Endpoint, body: []byte(encode(m)),
		retries: s.retryPolicy(t.attributes["DeliveryPolicy"], sub.Attributes["DeliveryPolicy"])}
	if d.kind != "SubscriptionConfirmation" {
		d.subscription = sub.ARN
	}
	if sub.Attributes["RawMessageDelivery"] == "true" && d.kind == "Notification" {
		d.raw, d.body = true, []byte(m["Message"])
	}
	return d
}

// askConfirmation sends the message that a new subscription has to answer. The
// caller holds s.mu.
func (s *Server) askConfirmation(t *topic, sub *subscription) {
	m := s.envelope(t, "SubscriptionConfirmation", "You have chosen to subscribe to the topic "+t.arn+".\nTo confirm the subscription, visit the SubscribeURL included in this message.")
	m["Token"] = sub.Token
	m["SubscribeURL"] = s.confirmURL(t, sub)
	s.queue = append(s.queue, s.seal(t, sub, m, false))
	s.signalQueue()
}

// tellUnsubscribed sends the message that a subscription has ended. The caller
// holds s.mu.
func (s *Server) tellUnsubscribed(t *topic, sub *subscription) {
	sub.Token, sub.Asked = rand.Text()+rand.Text(), s.cfg.Now()
	m := s.envelope(t, "UnsubscribeConfirmation", "You have chosen to deactivate subscription "+sub.ARN+".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message.")
	m["Token"] = sub.Token
	m["SubscribeURL"] = s.confirmURL(t, sub)
	s.queue = append(s.queue, s.seal(t, sub, m, false))
	s.signalQueue()
}

func (s *Server) confirmURL(t *topic, sub *subscription) string {
	return s.url + "/?Action=ConfirmSubscription&TopicArn=" + url.QueryEscape(t.arn) + "&Token=" + sub.Token
}

// findSubscription returns a subscription and its topic. The caller holds s.mu.
func (s *Server) findSubscription(arn string) (*topic, *subscription) {
	i := strings.LastIndexByte(arn, ':')
	if i < 0 {
		return nil, nil
	}
	t := s.topicByARN(arn[:i])
	if t == nil {
		return nil, nil
	}
	i = slices.IndexFunc(t.subscriptions, func(sub *subscription) bool { return sub.ARN == arn })
	if i < 0 {
		return nil, nil
	}
	return t, t.subscriptions[i]
}
