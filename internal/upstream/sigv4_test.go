package upstream

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// An access key entered as user name and password of a CodeCommit repository
// signs; the git credentials of IAM, and what other hosts take, are sent as
// they are.
func TestAccessKeyAsPassword(t *testing.T) {
	d := NewDialer(slog.New(slog.DiscardHandler), "test")
	defer d.Close()
	const key, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	for _, c := range []struct {
		url, user string
		signed    bool
	}{
		{"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo", key, true},
		{"https://vpce-0a1b2c3d.git-codecommit.eu-west-1.vpce.amazonaws.com/v1/repos/demo", key, true},
		{"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo", "jane-at-123456789012", false},
		{"https://git.example.com/demo.git", key, false},
	} {
		p, err := parseURL(c.url, false)
		if err != nil {
			t.Fatal(err)
		}
		user, password := d.basicAuth(Target{Auth: ferry.GitAuthBasic, GitUsername: c.user,
			Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(secret)}}, p)
		if user != c.user || (password == secret) == c.signed {
			t.Errorf("%s as %s: signs in as %s, signed %t, want %t", c.url, c.user, user, password != secret, c.signed)
		}
		if !c.signed {
			continue
		}
		at, err := time.Parse("20060102T150405", password[:15])
		if err != nil {
			t.Fatal(err)
		}
		if _, want := SigV4Password(key, secret, "", "eu-west-1", p.hostIn, p.path, at); password != want {
			t.Errorf("%s: password %s, want %s", c.url, password, want)
		}
	}
}

func TestSigV4Vectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/codecommit-git-sigv4-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	type steps struct {
		CanonicalRequest string `json:"canonical_request"`
		StringToSign     string `json:"string_to_sign"`
		SigningKey       string `json:"signing_key_hex"`
		Signature        string `json:"signature"`
		Username         string `json:"username"`
		Password         string `json:"password"`
		UsernameInURL    string `json:"username_in_url"`
	}
	var file struct {
		Vectors []struct {
			Name  string
			Input struct {
				AccessKeyID  string `json:"access_key_id"`
				Secret       string `json:"secret_access_key"`
				SessionToken string `json:"session_token"`
				Region, Host string
				Path         string
				Timestamp    string
			}
			Digest string `json:"canonical_request_sha256"`
			steps
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 9 {
		t.Fatalf("%d vectors, want 9", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			at, err := time.Parse("20060102T150405", v.Input.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			in := v.Input
			// A clock elsewhere must not matter.
			at = at.In(time.FixedZone("east", 9*3600))
			s := signV4(in.AccessKeyID, in.Secret, in.SessionToken, in.Region, in.Host, in.Path, at)
			got := steps{s.canonicalRequest, s.stringToSign, hex.EncodeToString(s.signingKey), s.signature, s.username, s.password, url.QueryEscape(s.username)}
			if diff := cmp.Diff(v.steps, got); diff != "" {
				t.Errorf("signature differs (-want +got):\n%s", diff)
			}
			if tail := s.stringToSign[len(s.stringToSign)-64:]; tail != v.Digest {
				t.Errorf("digest of the canonical request = %s, want %s", tail, v.Digest)
			}
			user, password := SigV4Password(in.AccessKeyID, in.Secret, in.SessionToken, in.Region, in.Host, in.Path, at)
			if user != v.Username || password != v.Password {
				t.Errorf("SigV4Password = %q, %q, want %q, %q", user, password, v.Username, v.Password)
			}
		})
	}
}
