package upstream

import (
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
