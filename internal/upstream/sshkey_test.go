package upstream

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

func TestParseSSHKey(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	key := testRSAKey()
	pub, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for _, c := range []struct {
		name, key, passphrase string
		codeCommit            bool
		want                  string // part of the message; "" accepted
	}{
		{"OpenSSH form", privatePEM(t, key, ""), "", true, ""},
		{"PEM form", pkcs1, "", true, ""},
		{"PKCS #8 form with CR LF", strings.ReplaceAll(pkcs8, "\n", "\r\n"), "", true, ""},
		{"with passphrase", privatePEM(t, key, "secret"), "secret", true, ""},
		{"passphrase missing", privatePEM(t, key, "secret"), "", true, "protected by a passphrase"},
		{"passphrase wrong", privatePEM(t, key, "secret"), "guess", true, "passphrase is wrong"},
		{"public half", string(ssh.MarshalAuthorizedKey(pub)), "", true, "public half"},
		{"public half in PEM", publicPEM, "", true, "public half"},
		{"PuTTY file", "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n", "", true, "puttygen"},
		{"no key", "  \n", "", true, "no private key"},
		{"garbage", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "", true, "ssh-keygen -t rsa"},
		{"small", privatePEM(t, small, ""), "", true, "1024 bits"},
		{"ed25519 at CodeCommit", privatePEM(t, ed, ""), "", true, "RSA keys only"},
		{"ECDSA at CodeCommit", privatePEM(t, ec, ""), "", true, "RSA keys only"},
		{"ed25519 elsewhere", privatePEM(t, ed, ""), "", false, ""},
		{"ECDSA elsewhere", privatePEM(t, ec, ""), "", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := ParseSSHKey(ferry.NewSecret(c.key), ferry.NewSecret(c.passphrase), c.codeCommit)
			if c.want == "" {
				if err != nil {
					t.Fatalf("ParseSSHKey: %v", err)
				}
				if !strings.HasPrefix(k.Fingerprint, "SHA256:") || strings.Contains(k.Public, "\n") {
					t.Errorf("fingerprint %q, public half %q", k.Fingerprint, k.Public)
				}
				return
			}
			var message *ferry.Message
			if !errors.As(err, &message) || !strings.Contains(message.Text, c.want) || !errors.Is(err, ferry.ErrInvalid) {
				t.Errorf("ParseSSHKey = %v, want a message with %q", err, c.want)
			}
		})
	}
}

func TestHostKeys(t *testing.T) {
	pub, err := ssh.NewPublicKey(&testRSAKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	line := string(ssh.MarshalAuthorizedKey(pub))
	codecommit, err := parseURL("ssh://K@git-codecommit.us-east-1.amazonaws.com/v1/repos/demo", false)
	if err != nil {
		t.Fatal(err)
	}
	unlisted, err := parseURL("ssh://K@git-codecommit.ap-southeast-3.amazonaws.com/v1/repos/demo", false)
	if err != nil {
		t.Fatal(err)
	}
	other, err := parseURL("ssh://git@example.com/r", false)
	if err != nil {
		t.Fatal(err)
	}
	const sha1 = ssh.KeyAlgoRSA
	for _, c := range []struct {
		name, pin string
		p         place
		published string // stands in for the published fingerprint, to accept
		want      string // expected fingerprint in the refusal; "ok", "none"
		sha1      bool
	}{
		{"published and equal", "", codecommit, ssh.FingerprintSHA256(pub), "ok", true},
		{"published and different", "", codecommit, "", "SHA256:" + publishedFingerprints["us-east-1"], true},
		{"region without fingerprint", "", unlisted, "", "none", true},
		{"pinned", line, other, "", "ok", false},
		{"pinned at CodeCommit", line, codecommit, "", "ok", true},
		{"not pinned", "", other, "", "none", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.published != "" {
				old := publishedFingerprints["us-east-1"]
				publishedFingerprints["us-east-1"] = strings.TrimPrefix(c.published, "SHA256:")
				defer func() { publishedFingerprints["us-east-1"] = old }()
			}
			check, algorithms, err := hostKeyCheck(c.p, c.pin)
			if err != nil {
				t.Fatal(err)
			}
			if got := algorithms[len(algorithms)-1] == sha1; got != c.sha1 {
				t.Errorf("algorithms %q: SHA-1 last = %t, want %t", algorithms, got, c.sha1)
			}
			err = check("", nil, pub)
			var e *HostKeyError
			switch {
			case c.want == "ok":
				if err != nil {
					t.Errorf("check: %v", err)
				}
			case !errors.As(err, &e) || !errors.Is(err, ferry.ErrDenied):
				t.Errorf("check = %v, want a HostKeyError that is ferry.ErrDenied", err)
			case c.want == "none" && e.Want != "", c.want != "none" && e.Want != c.want,
				e.Fingerprint != ssh.FingerprintSHA256(pub), e.Presented != strings.TrimSpace(line):
				t.Errorf("check = %+v, want fingerprint %s expected", e, c.want)
			case !strings.Contains(err.Error(), e.Fingerprint) || !strings.Contains(err.Error(), e.Want):
				t.Errorf("message %q lacks a fingerprint", err)
			}
		})
	}
	if _, _, err := hostKeyCheck(other, "nonsense"); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("unreadable pin: %v, want ferry.ErrInvalid", err)
	}
}
