package sns

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what signature version 1 uses
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Rules say which messages are genuine for one address.
type Rules struct {
	// Topics are the ARNs registered for the address; a message must name one
	// of them exactly.
	Topics []string
	// SHA1 takes signatures of version 1.
	SHA1 bool
	// StandIn is the base URL of something that plays SNS on this machine,
	// "http://127.0.0.1:7081"; its certificate may come from there. Empty for
	// AWS.
	StandIn string
}

// Verify checks that m is genuine by the rules: its topic, then where its
// certificate lies, then its signature. It makes no request before the topic
// is known to be registered. It fails with ErrRefused, or with ErrUnavailable
// if the certificate could not be had before ctx ended; a fetch that has begun
// goes on, so that the next attempt finds it.
func (v *Verifier) Verify(ctx context.Context, m *Message, r Rules) error {
	known := false
	for _, t := range r.Topics {
		known = known || t != "" && t == m.TopicARN
	}
	if !known {
		return refused("the topic %.120q is not registered for this address", m.TopicARN)
	}
	if err := checkCertificateURL(m.SigningCertURL, m.TopicARN, r.StandIn); err != nil {
		return err
	}
	hash := crypto.SHA256
	switch {
	case m.SignatureVersion == "2":
	case m.SignatureVersion == "1" && r.SHA1:
		hash = crypto.SHA1
	case m.SignatureVersion == "1":
		return refused("signature version 1 (SHA-1); set the topic's attribute SignatureVersion to 2, or allow it for this integration")
	default:
		return refused("signature version %.20q", m.SignatureVersion)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(m.Signature)
	if err != nil {
		return refused("the signature is not base64")
	}
	cert, err := v.certificate(ctx, m.SigningCertURL)
	if err != nil {
		return err
	}
	key, err := v.usable(cert, m.SigningCertURL)
	if err != nil {
		return err
	}
	var digest []byte
	if text := []byte(m.stringToSign()); hash == crypto.SHA1 {
		sum := sha1.Sum(text)
		digest = sum[:]
	} else {
		sum := sha256.Sum256(text)
		digest = sum[:]
	}
	if err := rsa.VerifyPKCS1v15(key, hash, digest, signature); err != nil {
		return refused("the signature does not fit")
	}
	return nil
}

// usable checks a certificate and returns its key.
func (v *Verifier) usable(cert *x509.Certificate, from string) (*rsa.PublicKey, error) {
	now := v.now()
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, refused("the certificate is not valid at this time")
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 {
		return nil, refused("the certificate has no RSA key of 2048 bits or more")
	}
	// That the name holds in all partitions is not documented, so it does not
	// decide.
	if name := cert.Subject.CommonName; !strings.HasPrefix(name, "sns.") && v.Log != nil {
		v.Log.Warn("the certificate of an SNS message has an unusual name", "name", name, "url", from)
	}
	return key, nil
}

var (
	certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{16,64}\.pem$`)
	topicForm       = regexp.MustCompile(`^arn:aws[a-z-]*:sns:([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
)

// suffixes are the host names' ends of AWS's partitions by how their region
// codes begin, the longer beginnings first (codecommit.md 1.2).
var suffixes = []struct{ region, suffix string }{
	{"us-gov-", "amazonaws.com"}, {"us-isob-", "sc2s.sgov.gov"}, {"us-isof-", "csp.hci.ic.gov"}, {"us-iso-", "c2s.ic.gov"},
	{"eu-isoe-", "cloud.adc-e.uk"}, {"eusc-", "amazonaws.eu"}, {"cn-", "amazonaws.com.cn"}, {"", "amazonaws.com"},
}

// checkCertificateURL allows the place of SNS's certificates in the region of
// the topic and nothing else. A pattern over regions would not do: it fits
// old host names of S3, such as sns.s3-us-west-2.amazonaws.com, where anybody
// can put a certificate.
func checkCertificateURL(text, topic, standIn string) error {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || strings.Contains(text, "#") ||
		u.RawPath != "" || !certificatePath.MatchString(u.Path) {
		return refused("the certificate's address is not one of SNS")
	}
	if standIn != "" && isLoopback(standIn) && u.Scheme+"://"+u.Host == strings.TrimSuffix(standIn, "/") {
		return nil
	}
	part := topicForm.FindStringSubmatch(topic)
	if part == nil {
		return refused("the topic %.120q has no region", topic)
	}
	for _, s := range suffixes {
		if strings.HasPrefix(part[1], s.region) {
			if u.Scheme == "https" && u.Host == "sns."+part[1]+"."+s.suffix {
				return nil
			}
			break
		}
	}
	return refused("the certificate's host is not SNS in the topic's region")
}

// isLoopback reports whether base is a URL of this machine.
func isLoopback(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrRefused)
}
