package sns

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	topic   = "arn:aws:sns:us-east-1:123456789012:codecommit-gitferry-1"
	certURL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

var signer = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate makes a certificate in PEM form.
func certificate(tb testing.TB, public, private any, change func(*x509.Certificate)) []byte {
	tb.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func verifier(tb testing.TB, text []byte) *Verifier {
	if text == nil {
		text = certificate(tb, &signer().PublicKey, signer(), nil)
	}
	return &Verifier{Now: func() time.Time { return now },
		Fetch: func(context.Context, string) ([]byte, error) { return text, nil }}
}

// notification returns the members of a message, signed when sign is called.
func notification() map[string]any {
	return map[string]any{"Type": TypeNotification, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": topic,
		"Subject": "UPDATE: AWS CodeCommit us-east-1 push: demo", "Message": "{\"Records\":[]}\nnext line", "Timestamp": "2026-11-25T11:59:30.123Z",
		"SignatureVersion": "2", "SigningCertURL": certURL, "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe"}
}

func confirmation(kind string) map[string]any {
	m := notification()
	delete(m, "Subject")
	delete(m, "UnsubscribeURL")
	m["Type"], m["Token"], m["SubscribeURL"] = kind, "2336412f37", "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"
	return m
}

// sign signs what is there, by the developer guide's lists and not by the
// package's own.
func sign(m map[string]any) []byte {
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m["Type"] != TypeNotification {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var text strings.Builder
	for _, n := range names {
		if v, ok := m[n].(string); ok {
			text.WriteString(n + "\n" + v + "\n")
		}
	}
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(text.String()))
	digest := sum[:]
	if m["SignatureVersion"] == "1" {
		sum := sha1.Sum([]byte(text.String()))
		hash, digest = crypto.SHA1, sum[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, signer(), hash, digest)
	if err != nil {
		panic(err)
	}
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return body
}

func TestGenuineMessages(t *testing.T) {
	plain := notification()
	delete(plain, "Subject")
	empty := notification()
	empty["Subject"] = ""
	old := notification()
	old["SignatureVersion"] = "1"
	china := notification()
	china["TopicArn"] = "arn:aws-cn:sns:cn-north-1:123456789012:codecommit-gitferry-1"
	china["SigningCertURL"] = strings.NewReplacer("us-east-1.amazonaws.com", "cn-north-1.amazonaws.com.cn").Replace(certURL)
	standIn := notification()
	standIn["SigningCertURL"] = "http://127.0.0.1:7081/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	for name, c := range map[string]struct {
		m     map[string]any
		rules Rules
	}{
		"with subject":    {notification(), Rules{}},
		"without subject": {plain, Rules{}},
		"empty subject":   {empty, Rules{}},
		"version 1":       {old, Rules{SHA1: true}},
		"confirmation":    {confirmation(TypeSubscription), Rules{}},
		"unsubscribed":    {confirmation(TypeUnsubscribe), Rules{}},
		"another region":  {china, Rules{Topics: []string{topic, china["TopicArn"].(string)}}},
		"a stand-in":      {standIn, Rules{StandIn: "http://127.0.0.1:7081"}},
	} {
		if c.rules.Topics == nil {
			c.rules.Topics = []string{topic}
		}
		m, err := Decode(sign(c.m))
		if err == nil {
			err = verifier(t, nil).Verify(t.Context(), m, c.rules)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Message != c.m["Message"] || m.TopicARN != c.m["TopicArn"] || m.Type != c.m["Type"] {
			t.Errorf("%s: decoded as %+v", name, m)
		}
	}
}

func TestForgedMessages(t *testing.T) {
	rules := Rules{Topics: []string{topic}}
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // which is the point
	if err != nil {
		t.Fatal(err)
	}
	at := func(change func(*x509.Certificate)) *Verifier {
		return verifier(t, certificate(t, &signer().PublicKey, signer(), change))
	}
	for name, c := range map[string]struct {
		after    func(m map[string]any) // changes the signed message
		before   func(m map[string]any) // changes what is signed
		verifier *Verifier
		rules    Rules
	}{
		"message":             {after: func(m map[string]any) { m["Message"] = "x" }},
		"message id":          {after: func(m map[string]any) { m["MessageId"] = "x" }},
		"subject":             {after: func(m map[string]any) { m["Subject"] = "x" }},
		"subject taken away":  {after: func(m map[string]any) { delete(m, "Subject") }},
		"timestamp":           {after: func(m map[string]any) { m["Timestamp"] = "2026-11-25T12:00:00.000Z" }},
		"type":                {after: func(m map[string]any) { m["Type"], m["Token"], m["SubscribeURL"] = TypeSubscription, "a", "b" }},
		"signature":           {after: func(m map[string]any) { m["Signature"] = base64.StdEncoding.EncodeToString(make([]byte, 256)) }},
		"no base64":           {after: func(m map[string]any) { m["Signature"] = "???" }},
		"another topic":       {before: func(m map[string]any) { m["TopicArn"] = topic + "0" }},
		"no topic registered": {rules: Rules{Topics: []string{""}}},
		"version 1 unasked":   {before: func(m map[string]any) { m["SignatureVersion"] = "1" }},
		"version 3":           {after: func(m map[string]any) { m["SignatureVersion"] = "3" }},
		"expired":             {verifier: at(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })},
		"not yet":             {verifier: at(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })},
		"elliptic key":        {verifier: verifier(t, certificate(t, &elliptic256.PublicKey, elliptic256, nil))},
		"small key":           {verifier: verifier(t, certificate(t, &small.PublicKey, small, nil))},
		"no certificate":      {verifier: verifier(t, []byte("<html>"))},
		"stand-in unasked": {before: func(m map[string]any) {
			m["SigningCertURL"] = "http://127.0.0.1:7081/SimpleNotificationService-0123456789abcdef.pem"
		}},
	} {
		m := notification()
		if c.before != nil {
			c.before(m)
		}
		sign(m)
		if c.after != nil {
			c.after(m)
		}
		body, _ := json.Marshal(m)
		v := c.verifier
		if v == nil {
			v = verifier(t, nil)
		}
		if c.rules.Topics == nil {
			c.rules = rules
		}
		decoded, err := Decode(body)
		if err == nil {
			err = v.Verify(t.Context(), decoded, c.rules)
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: Verify = %v, want refused", name, err)
		}
	}
}

// No address but SNS's own in the topic's region may hold the certificate.
func TestCertificateAddress(t *testing.T) {
	const file = "/SimpleNotificationService-0123456789abcdef.pem"
	for _, address := range []string{
		"http://sns.us-east-1.amazonaws.com" + file,
		"https://sns.us-east-1.amazonaws.com:443" + file,
		"https://sns.us-east-1.amazonaws.com.evil.example" + file,
		"https://sns.us-east-1.amazonaws.com@evil.example" + file,
		"https://evil.example/sns.us-east-1.amazonaws.com" + file,
		"https://sns.us-west-2.amazonaws.com" + file,
		"https://sns.s3-us-west-2.amazonaws.com" + file,
		"https://sns.us-east-1.amazonaws.com.cn" + file,
		"https://SNS.us-east-1.amazonaws.com" + file,
		"https://sns.us-east-1.amazonaws.com." + file,
		"https://sns.us-east-1.amazonaws.com" + file + "?a=b",
		"https://sns.us-east-1.amazonaws.com" + file + "?",
		"https://sns.us-east-1.amazonaws.com" + file + "#a",
		"https://sns.us-east-1.amazonaws.com" + file + "#",
		"https://sns.us-east-1.amazonaws.com/x/.." + file,
		"https://sns.us-east-1.amazonaws.com/%53impleNotificationService-0123456789abcdef.pem",
		"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-xyz.pem",
		"https://sns.us-east-1.amazonaws.com/",
		"sns.us-east-1.amazonaws.com" + file,
		"http://127.0.0.1:7082" + file,
		"http://localhost:7081" + file,
		"https://127.0.0.1:7081" + file,
		"http://127.0.0.1:7081/elsewhere" + file,
		"",
	} {
		if err := checkCertificateURL(address, topic, "http://127.0.0.1:7081"); !errors.Is(err, ErrRefused) {
			t.Errorf("checkCertificateURL(%q) = %v, want refused", address, err)
		}
	}
	// A stand-in is a thing of this machine.
	if err := checkCertificateURL("http://192.0.2.1"+file, topic, "http://192.0.2.1"); !errors.Is(err, ErrRefused) {
		t.Errorf("a stand-in on another machine: %v, want refused", err)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	good := string(sign(notification()))
	change := func(from, to string) string {
		t.Helper()
		changed := strings.Replace(good, from, to, 1)
		if changed == good {
			t.Fatalf("%q is not in the message", from)
		}
		return changed
	}
	for name, body := range map[string]string{
		"empty":               "",
		"a list":              "[]",
		"null":                "null",
		"text behind":         good + "{}",
		"cut":                 good[:len(good)-1],
		"twice":               change(`{`, `{"TopicArn":"x",`),
		"other case":          change(`"TopicArn"`, `"topicarn"`),
		"a number":            change(`"2026-11-25T11:59:30.123Z"`, `1`),
		"null member":         change(`"2026-11-25T11:59:30.123Z"`, `null`),
		"no time":             change(`2026-11-25T11:59:30.123Z`, `yesterday`),
		"unknown type":        change(`"Notification"`, `"notification"`),
		"no type":             change(`"Type"`, `"Tpye"`),
		"no signature":        change(`"Signature"`, `"Sig"`),
		"no UTF-8":            change("demo", "d\xffmo"),
		"half a pair":         change("demo", `\ud800x`),
		"second half":         change("demo", `\udc00`),
		"half a pair, paired": change("demo", `\ud800\u0041`),
		"no id":               change(`"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"`, `""`),
		"too long":            `{"a":"` + strings.Repeat("x", MaxBody) + `"}`,
		"long message":        change(`next line`, strings.Repeat("x", maxMessage)),
		"no token":            strings.Replace(string(sign(confirmation(TypeSubscription))), `"Token"`, `"Tok"`, 1),
	} {
		if m, err := Decode([]byte(body)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Decode = %+v, %v, want invalid", name, m, err)
		}
	}
	if _, err := Decode([]byte(change("demo", `\ud83d\ude80`))); err != nil {
		t.Errorf("a surrogate pair: %v", err)
	}
	// What is not signed in this type is not there for anybody.
	m := notification()
	m["Token"], m["SubscribeURL"] = "a", "b"
	got, err := Decode(sign(m))
	if err != nil || got.Token != "" || got.SubscribeURL != "" {
		t.Errorf("a notification with a token: %+v, %v", got, err)
	}
}

// Nothing is fetched for a topic or an address that is not right, one fetch
// serves many, and a failure is remembered for a minute only.
func TestFetching(t *testing.T) {
	text := certificate(t, &signer().PublicKey, signer(), nil)
	var fetches atomic.Int32
	var failing atomic.Bool
	release := make(chan struct{})
	clock := now
	v := &Verifier{Now: func() time.Time { return clock }, Fetch: func(ctx context.Context, url string) ([]byte, error) {
		fetches.Add(1)
		<-release
		if failing.Load() {
			return nil, errors.New("no route")
		}
		return text, nil
	}}
	m, err := Decode(sign(notification()))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context(), m, Rules{Topics: []string{"arn:other"}}); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if n := fetches.Load(); n != 0 {
		t.Errorf("%d fetches for a foreign topic", n)
	}
	rules := Rules{Topics: []string{topic}}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := v.Verify(short, m, rules); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the certificate is fetched: %v, want unavailable", err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := v.Verify(context.Background(), m, rules); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	all.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	failing.Store(true)
	clock = now.Add(30 * time.Hour)
	if err := v.Verify(t.Context(), m, rules); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the certificate: %v, want unavailable", err)
	}
	failing.Store(false)
	if err := v.Verify(t.Context(), m, rules); !errors.Is(err, ErrUnavailable) || fetches.Load() != 2 {
		t.Errorf("a moment later: %v after %d fetches", err, fetches.Load())
	}
	clock = clock.Add(2 * time.Minute)
	v.Now = func() time.Time { return clock }
	if err := v.Verify(t.Context(), m, rules); !errors.Is(err, ErrRefused) || fetches.Load() != 3 { // it has expired by then
		t.Errorf("two minutes later: %v after %d fetches", err, fetches.Load())
	}
}

// Whatever is accepted was signed over the same text that is used.
func FuzzVerify(f *testing.F) {
	f.Add(sign(notification()))
	f.Add(sign(confirmation(TypeSubscription)))
	f.Add(sign(confirmation(TypeUnsubscribe)))
	f.Add([]byte(`{"Type":"Notification","type":"x","Message":"\ud800"}`))
	genuine := map[string]*Message{}
	for _, m := range []map[string]any{notification(), confirmation(TypeSubscription), confirmation(TypeUnsubscribe)} {
		decoded, err := Decode(sign(m))
		if err != nil {
			f.Fatal(err)
		}
		genuine[decoded.Type] = decoded
	}
	v := verifier(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode(body)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("Decode = %v, want a kind", err)
			}
			return
		}
		if v.Verify(t.Context(), m, Rules{Topics: []string{topic}}) != nil {
			return
		}
		if diff := cmp.Diff(genuine[m.Type], m); diff != "" {
			t.Fatalf("accepted something that was not signed:\n%s", diff)
		}
	})
}
