package sns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Decode reads the body of a request. It is case-exact and refuses what a
// lenient decoder would take in one of several ways: duplicate names, values
// that are not strings where strings are signed, text behind the object,
// invalid UTF-8, and lone surrogates. It fails with ErrInvalid.
//
// (encoding/json matches names without regard to case and lets the last
// duplicate win, so a second "topicarn" would replace the one that was
// checked.)
func Decode(body []byte) (*Message, error) {
	switch {
	case len(body) > MaxBody:
		return nil, invalid("longer than %d bytes", MaxBody)
	case !utf8.Valid(body):
		return nil, invalid("not UTF-8")
	case loneSurrogate(body):
		return nil, invalid("half of a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid("not a JSON object")
	}
	m := &Message{}
	fields := m.fields()
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, invalid("not JSON")
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return nil, invalid("the name %.40q twice", name)
		}
		seen[name] = true
		into := fields[name]
		if into == nil {
			// UnsubscribeURL, MessageAttributes and what may come: not signed, not used.
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return nil, invalid("not JSON")
			}
			continue
		}
		v, err := d.Token()
		if err != nil {
			return nil, invalid("not JSON")
		}
		if *into, ok = v.(string); !ok {
			return nil, invalid("%s is not a string", name)
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, invalid("not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, invalid("text behind the object")
	}
	m.HasSubject = seen["Subject"]
	return m, m.check(seen)
}

// fields are the members that are used, by name.
func (m *Message) fields() map[string]*string {
	return map[string]*string{
		"Type": &m.Type, "MessageId": &m.ID, "TopicArn": &m.TopicARN, "Message": &m.Message, "Subject": &m.Subject,
		"Timestamp": &m.Timestamp, "Token": &m.Token, "SubscribeURL": &m.SubscribeURL,
		"SignatureVersion": &m.SignatureVersion, "Signature": &m.Signature, "SigningCertURL": &m.SigningCertURL,
	}
}

// check makes sure that everything which its type calls for is there, and
// that nothing is there which would be used without being signed.
func (m *Message) check(seen map[string]bool) error {
	need := []string{"Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL"}
	switch m.Type {
	case TypeNotification:
		m.Token, m.SubscribeURL = "", ""
	case TypeSubscription, TypeUnsubscribe:
		need = append(need, "Token", "SubscribeURL")
		m.Subject, m.HasSubject = "", false
	default:
		return invalid("type %.40q", m.Type)
	}
	for _, name := range need {
		if !seen[name] {
			return invalid("%s is missing", name)
		}
	}
	switch {
	case len(m.Message) > maxMessage:
		return invalid("a message longer than %d bytes", maxMessage)
	case m.ID == "" || len(m.ID) > 128:
		return invalid("a message id of %d bytes", len(m.ID))
	case len(m.TopicARN) > 512 || len(m.SigningCertURL) > 512 || len(m.Signature) > 4096:
		return invalid("a member is too long")
	}
	_, err := m.Time()
	return err
}

// loneSurrogate reports whether a \u escape in text names half of a surrogate
// pair, which Go would replace and other decoders would not.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		unit, ok := escape(text, i)
		if !ok {
			continue
		}
		i += 4
		switch {
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return true
		case unit >= 0xD800 && unit <= 0xDBFF:
			if i+2 >= len(text) || text[i+1] != '\\' {
				return true
			}
			low, ok := escape(text, i+2)
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 6
		}
	}
	return false
}

// escape reads "uXXXX" at text[i:].
func escape(text []byte, i int) (unit int, ok bool) {
	if i+5 > len(text) || text[i] != 'u' {
		return 0, false
	}
	for _, c := range text[i+1 : i+5] {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			unit = unit<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			unit = unit<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrInvalid)
}
