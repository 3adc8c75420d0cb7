package codecommit

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signatureWindow is how far the time of a signature may be from ours.
const signatureWindow = 15 * time.Minute

// signingKey is the chain of HMACs that ends in the key for one day, region
// and service (AWS Signature Version 4).
func signingKey(secret, day, region, service string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// equal compares secrets in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

const gitTime = "20060102T150405" // the time in a git password, without its Z

// gitSignature computes the signature in a git password: the canonical request
// has the method GIT, no query, the host as its only header, and no hash of
// the payload (git-remote-codecommit).
func gitSignature(secret, region, host, path, timestamp string) string {
	canonical := "GIT\n" + path + "\n\nhost:" + host + "\n\nhost\n"
	day := timestamp[:8]
	toSign := "AWS4-HMAC-SHA256\n" + timestamp + "\n" + day + "/" + region + "/codecommit/aws4_request\n" +
		hexSHA256([]byte(canonical))
	return hex.EncodeToString(mac(signingKey(secret, day, region, "codecommit"), toSign))
}

// splitGitPassword takes a git password apart and checks that its time is
// within the window around now.
func splitGitPassword(password string, now time.Time) (timestamp, signature string, ok bool) {
	if len(password) != 80 || password[15] != 'Z' {
		return "", "", false
	}
	t, err := time.Parse(gitTime, password[:15])
	if err != nil || now.Sub(t).Abs() > signatureWindow {
		return "", "", false
	}
	return password[:15], password[16:], true
}

// verifyGitPassword checks a git password made with secret and returns the
// region that it was made for. regions, hosts and paths are what the client
// may have signed.
func verifyGitPassword(secret, password string, now time.Time, regions, hosts, paths []string) (region string, ok bool) {
	timestamp, signature, ok := splitGitPassword(password, now)
	if !ok {
		return "", false
	}
	for _, region := range regions {
		for _, host := range hosts {
			for _, path := range paths {
				if equal(gitSignature(secret, region, host, path, timestamp), signature) {
					return region, true
				}
			}
		}
	}
	return "", false
}

// signedHosts returns the forms of the Host header that the two AWS tools may
// have signed: as it is and without its port, in lower case too.
func signedHosts(host string) []string {
	hosts := []string{host}
	if h, _, err := net.SplitHostPort(host); err == nil {
		hosts = append(hosts, h)
	}
	for _, h := range slices.Clone(hosts) {
		hosts = append(hosts, strings.ToLower(h))
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// A scope is what a verified API signature says of the request.
type scope struct {
	caller          *identity
	region, service string
}

// Faults of signatures, by the names of the JSON protocol. The query protocol
// has names of its own, see queryCodes.
var (
	errNoSignature = &apiError{Code: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
	errUnknownKey  = &apiError{Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
	errExpired     = &apiError{Code: "ExpiredTokenException", Message: "The security token included in the request is expired"}
	errMismatch    = &apiError{Code: "InvalidSignatureException", Message: "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
)

// verifyRequest checks the Signature Version 4 of an API request, whose body
// was read already.
func (s *Server) verifyRequest(r *http.Request, body []byte) (scope, error) {
	auth := r.Header.Get("Authorization")
	if auth == "" {
		return scope{}, errNoSignature
	}
	fields, ok := strings.CutPrefix(auth, "AWS4-HMAC-SHA256 ")
	if !ok {
		return scope{}, &apiError{Code: "IncompleteSignatureException", Message: "Unsupported signature algorithm"}
	}
	part := map[string]string{}
	for f := range strings.SplitSeq(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		part[k] = v
	}
	credential := strings.Split(part["Credential"], "/")
	if len(credential) != 5 || credential[4] != "aws4_request" || part["SignedHeaders"] == "" || part["Signature"] == "" {
		return scope{}, &apiError{Code: "IncompleteSignatureException", Message: "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters."}
	}
	keyID, day, region, service := credential[0], credential[1], credential[2], credential[3]
	caller := s.byAccessKey(keyID)
	if caller == nil || !equal(caller.SessionToken, r.Header.Get("X-Amz-Security-Token")) {
		return scope{}, errUnknownKey
	}
	if !caller.expires.IsZero() && s.cfg.Now().After(caller.expires) {
		return scope{}, errExpired
	}
	if err := s.checkTime(r.Header.Get("X-Amz-Date"), day); err != nil {
		return scope{}, err
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") {
		return scope{}, &apiError{Code: "InvalidSignatureException", Message: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	toSign := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + strings.Join(credential[1:], "/") + "\n" +
		hexSHA256([]byte(canonicalRequest(r, signed, body)))
	want := hex.EncodeToString(mac(signingKey(caller.SecretAccessKey, day, region, service), toSign))
	if !equal(want, part["Signature"]) {
		return scope{}, errMismatch
	}
	return scope{caller: caller, region: region, service: service}, nil
}

func (s *Server) checkTime(date, day string) error {
	t, err := time.Parse("20060102T150405Z", date)
	if err != nil || !strings.HasPrefix(date, day) {
		return &apiError{Code: "IncompleteSignatureException", Message: "Date must be in ISO-8601 'basic format'."}
	}
	now := s.cfg.Now().UTC()
	const layout = "20060102T150405Z"
	switch {
	case t.Before(now.Add(-signatureWindow)):
		return &apiError{Code: "InvalidSignatureException", Message: "Signature expired: " + date + " is now earlier than " + now.Add(-signatureWindow).Format(layout) + " (" + now.Format(layout) + " - 15 min.)"}
	case t.After(now.Add(signatureWindow)):
		return &apiError{Code: "InvalidSignatureException", Message: "Signature not yet current: " + date + " is still later than " + now.Add(signatureWindow).Format(layout) + " (" + now.Format(layout) + " + 15 min.)"}
	}
	return nil
}

// canonicalRequest writes a request down in the form that is signed. The hash
// is that of the body we read, so that a changed body fails.
func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
			if value == "" {
				value = itoa(r.ContentLength)
			}
		}
		b.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + hexSHA256(body))
	return b.String()
}

func canonicalQuery(q url.Values) string {
	escape := func(s string) string {
		return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	}
	var pairs []string
	for k, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(k)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}
