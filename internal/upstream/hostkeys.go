package upstream

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// publishedFingerprints are the SHA-256 fingerprints of CodeCommit's SSH host
// keys by region, as the user guide's page "Regions and Git connection end
// points for AWS CodeCommit" prints them (awsdocs/aws-codecommit-user-guide,
// commit bbeea67). Regions that are not listed need a pinned key.
var publishedFingerprints = map[string]string{
	"us-gov-west-1":  "djXQoSIFcg8vHe0KVH1xW/gOF9X37tWTqu4Hkng75x4",
	"us-gov-east-1":  "fVb+R0z7qW7minenW+rUpAABRCRBTCzmETAJEQrg98",
	"us-east-1":      "eLMY1j0DKA4uvDZcl/KgtIayZANwX6t8+8isPtotBoY",
	"us-east-2":      "3lBlW2g5xn/NA2Ck6dyeJIrQOWvn7n8UEs56fG6ZIzQ",
	"us-west-1":      "gzauWTWXDK2u5KuMMi5vbKTmfyerdIwgSbzYBODLpzg",
	"us-west-2":      "0pJx9SQpkbPUAHwy58UVIq0IHcyo1fwCpOOuVgcAWPo",
	"eu-west-1":      "tKjRkOL8dmJyTmSbeSdN1S8F/f0iql3RlvqgTOP1UyQ",
	"eu-west-2":      "r0Rwz5k/IHp/QyrRnfiM9j02D5UEqMbtFNTuDG2hNbs",
	"eu-west-3":      "uw7c2FL564jVoFgtc+ikzILnKBsZz7t9+CFdSJjKbLI",
	"eu-central-1":   "MwGrkiEki8QkkBtlAgXbYt0hoZYBnZF62VY5RzGJEUY",
	"eu-north-1":     "b6KSK7xKq+V8jl7iuAcjqXsG7zkqoUZZmmhYYFBq1wQ",
	"eu-south-1":     "lyXrWbCg3uQmJrl1XxB/ASR7ugW1Ysf5yzYOJbudHsI",
	"ap-east-1":      "LafadYwUYW8hONoTRpojbjNs9IRnbEwHtezD3aAIBX0",
	"ap-south-1":     "hUKwnTj7+Xpx4Kddb6p45j4RazIJ4IhAMD8k29itOfE",
	"ap-southeast-1": "ZIsVa7OVzxrTIf+Rk4UbhPv6Es22mSB3uTBojfPXIno",
	"ap-southeast-2": "nYp+gHas80HY3DqbP4yanCDFhqDVjseefVbHEXqH2Ec",
	"ap-northeast-1": "Xk/WeYD/K/bnBybzhiuu4dWpBJtXPf7E30jHU7se4Ow",
	"ap-northeast-2": "eegAPQrWY9YsYo9ZHIKOmxetfXBHzAZd8Eya53Qcwko",
	"ap-northeast-3": "2B815B9F0AvwLnRxSVxUz4kDYmtEQUGGdQYP8OQLXhA",
	"sa-east-1":      "kW+VKB0jpRaG/ZbXkgbtMQbKgEDK7JnISV3SVoyCmzU",
	"cn-north-1":     "IYUXxH2OpTDsyYMLIp+JY8CTLS4UX+ZC5JVZXPRaxc8",
	"cn-northwest-1": "wqjd6eHd0+mOBx+dCNuL0omUoCNjaDtZiEpWj5TmCfQ",
	"ca-central-1":   "Qz5puafQdANVprLlj6r0Qyh4lCNsF6ob61dGcPtFS7w",
	"me-south-1":     "O+NToCGgjrHekiBuOl0ad7ROGEsz+DBLXOd/c9wc0JU",
	"af-south-1":     "C34ji3x/cnsDZjUpyNGXdE5pjHYimqJrQZ3leTgqJHM",
}

// A HostKeyError says that an SSH upstream showed a key that is unknown or
// not the expected one. Reach it with errors.As; the form where an
// administrator confirms a new host takes Presented as Target.HostKey.
type HostKeyError struct {
	Host        string // host:port
	Presented   string // "ssh-rsa AAAA…", the key that the host showed
	Fingerprint string // of Presented: "SHA256:…"
	Want        string // fingerprint that was expected, "" if none is known
}

func (e *HostKeyError) Error() string {
	if e.Want == "" {
		return fmt.Sprintf("the SSH host key of %s is not known: it shows %s", e.Host, e.Fingerprint)
	}
	return fmt.Sprintf("the SSH host key of %s is %s, expected was %s", e.Host, e.Fingerprint, e.Want)
}

// hostKeyCheck returns the callback that accepts the right key only, and the
// host key algorithms to ask for in order of preference.
func hostKeyCheck(p place, pinned string) (ssh.HostKeyCallback, []string, error) {
	if pinned != "" {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(pinned))
		if err != nil {
			return nil, nil, &ferry.Message{
				Kind:  ferry.ErrInvalid,
				Text:  "the pinned SSH host key is not readable; want the key type and the key as in known_hosts, without the host",
				Cause: err,
			}
		}
		check := func(_ string, _ net.Addr, got ssh.PublicKey) error {
			if !bytes.Equal(got.Marshal(), key.Marshal()) {
				return wrongHostKey(p, got, ssh.FingerprintSHA256(key))
			}
			return nil
		}
		return check, hostKeyAlgorithms(key.Type(), p.region != ""), nil
	}
	if p.region == "" {
		check := func(_ string, _ net.Addr, got ssh.PublicKey) error { return wrongHostKey(p, got, "") }
		return check, append([]string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256}, hostKeyAlgorithms(ssh.KeyAlgoRSA, false)...), nil
	}
	want := ""
	if f := publishedFingerprints[p.region]; f != "" {
		want = "SHA256:" + f
	}
	check := func(_ string, _ net.Addr, got ssh.PublicKey) error {
		if want == "" || ssh.FingerprintSHA256(got) != want {
			return wrongHostKey(p, got, want)
		}
		return nil
	}
	return check, hostKeyAlgorithms(ssh.KeyAlgoRSA, true), nil
}

// hostKeyAlgorithms returns the signature algorithms for a host key of type
// keyType. SHA-1 comes last, and only towards CodeCommit, whose servers have
// been seen to offer nothing newer.
func hostKeyAlgorithms(keyType string, codeCommit bool) []string {
	if keyType != ssh.KeyAlgoRSA {
		return []string{keyType}
	}
	algos := []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	if codeCommit {
		algos = append(algos, ssh.KeyAlgoRSA)
	}
	return algos
}

func wrongHostKey(p place, got ssh.PublicKey, want string) error {
	e := &HostKeyError{
		Host:        p.address(),
		Presented:   strings.TrimSpace(string(ssh.MarshalAuthorizedKey(got))),
		Fingerprint: ssh.FingerprintSHA256(got),
		Want:        want,
	}
	text := fmt.Sprintf("the SSH host key of %s is not known: the host shows %s and no key is pinned; compare it with what the host's operator publishes, then confirm it in the integration",
		e.Host, e.Fingerprint)
	if want != "" {
		text = fmt.Sprintf("the SSH host key of %s changed: expected %s, the host shows %s; nothing is sent until an administrator confirms the new key",
			e.Host, want, e.Fingerprint)
	}
	return &ferry.Message{Kind: ferry.ErrDenied, Text: text, Cause: e}
}
