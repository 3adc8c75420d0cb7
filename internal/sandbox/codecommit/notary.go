package codecommit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A notary signs messages, as SNS does with the key of its certificate.
type notary struct {
	key         *rsa.PrivateKey
	certificate []byte // PEM
	path        string // under which it is served
}

func newNotary(now time.Time) (*notary, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key for SNS: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "sns.amazonaws.com"},
		DNSNames:     []string{"sns.amazonaws.com"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(365 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for SNS: %w", err)
	}
	sum := sha256.Sum256(der)
	return &notary{
		key:         key,
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		path:        fmt.Sprintf("/SimpleNotificationService-%x.pem", sum[:16]),
	}, nil
}

// sign returns the signature of a message for a SignatureVersion, "1" or "2".
func (n *notary) sign(version string, m map[string]string) string {
	text := []byte(textToSign(m))
	hash, sum := crypto.SHA1, sha1.Sum(text)
	digest := sum[:]
	if version == "2" {
		hash = crypto.SHA256
		sum := sha256.Sum256(text)
		digest = sum[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, n.key, hash, digest)
	if err != nil {
		panic(err) // the key is long enough for both hashes
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// textToSign joins the signed members of a message in their order (SNS guide,
// "Verifying the signatures of Amazon SNS messages").
func textToSign(m map[string]string) string {
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var b strings.Builder
	for _, name := range names {
		if v, ok := m[name]; ok {
			b.WriteString(name + "\n" + v + "\n")
		}
	}
	return b.String()
}
