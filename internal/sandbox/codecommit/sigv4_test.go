package codecommit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The verifier takes each published vector at its own time and nothing near
// it.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/codecommit-git-sigv4-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name  string
			Input struct {
				Secret    string `json:"secret_access_key"`
				Region    string
				Host      string
				Path      string
				Timestamp string
			}
			Signature string
			Password  string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 9 {
		t.Fatalf("%d vectors, want 9", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		in := v.Input
		if got := gitSignature(in.Secret, in.Region, in.Host, in.Path, in.Timestamp); got != v.Signature {
			t.Errorf("%s: signature %s, want %s", v.Name, got, v.Signature)
		}
		at, err := time.Parse(gitTime, in.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		verify := func(password, host, path string, now time.Time) bool {
			region, ok := verifyGitPassword(in.Secret, password, now, awsRegions, signedHosts(host), []string{path})
			return ok && region == in.Region
		}
		if !verify(v.Password, in.Host, in.Path, at) {
			t.Errorf("%s: refused at its own time", v.Name)
		}
		if !strings.Contains(in.Host, ":") && !verify(v.Password, in.Host+":7081", in.Path, at) {
			t.Errorf("%s: refused with a port in the Host header", v.Name)
		}
		flipped := []byte(v.Password)
		flipped[40] ^= 1
		for what, bad := range map[string]bool{
			"16 minutes later": verify(v.Password, in.Host, in.Path, at.Add(16*time.Minute)),
			"16 minutes early": verify(v.Password, in.Host, in.Path, at.Add(-16*time.Minute)),
			"one digit off":    verify(string(flipped), in.Host, in.Path, at),
			"other path":       verify(v.Password, in.Host, in.Path+"x", at),
			"other host":       verify(v.Password, "x"+in.Host, in.Path, at),
			"short":            verify(v.Password[:79], in.Host, in.Path, at),
		} {
			if bad {
				t.Errorf("%s: accepted %s", v.Name, what)
			}
		}
	}
}

func TestRequestSignatures(t *testing.T) {
	st := start(t)
	temporary := st.s.session(st.s.users[0]).Credentials
	tests := []struct {
		name   string
		change func(r *http.Request, cred *Credentials, service *string, at *time.Time)
		after  func(r *http.Request)
		want   string // error name, "" for success
	}{
		{"good", nil, nil, ""},
		{"temporary", func(_ *http.Request, c *Credentials, _ *string, _ *time.Time) { *c = temporary }, nil, ""},
		{"temporary without token", func(_ *http.Request, c *Credentials, _ *string, _ *time.Time) { *c = temporary; c.SessionToken = "" }, nil, "UnrecognizedClientException"},
		{"unknown key", func(_ *http.Request, c *Credentials, _ *string, _ *time.Time) { c.AccessKeyID = "AKIANOBODY" }, nil, "UnrecognizedClientException"},
		{"wrong secret", func(_ *http.Request, c *Credentials, _ *string, _ *time.Time) { c.SecretAccessKey = "x" }, nil, "InvalidSignatureException"},
		{"wrong service", func(_ *http.Request, _ *Credentials, s *string, _ *time.Time) { *s = "sns" }, nil, "InvalidSignatureException"},
		{"too old", func(_ *http.Request, _ *Credentials, _ *string, at *time.Time) { *at = at.Add(-16 * time.Minute) }, nil, "InvalidSignatureException"},
		{"too early", func(_ *http.Request, _ *Credentials, _ *string, at *time.Time) { *at = at.Add(16 * time.Minute) }, nil, "InvalidSignatureException"},
		{"no signature", nil, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		{"other scheme", nil, func(r *http.Request) { r.Header.Set("Authorization", "Basic x") }, "IncompleteSignatureException"},
		{"cut scheme", nil, func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b") }, "IncompleteSignatureException"},
		{"changed body", nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")); r.ContentLength = 2 }, "InvalidSignatureException"},
		{"unknown operation", func(r *http.Request, _ *Credentials, _ *string, _ *time.Time) {
			r.Header.Set("X-Amz-Target", target+"Nothing")
		}, nil, "UnknownOperationException"},
	}
	for _, tt := range tests {
		body := []byte(`{}`)
		req, _ := http.NewRequestWithContext(t.Context(), "POST", st.url+"/", bytes.NewReader(body))
		req.Header.Set("Content-Type", jsonType)
		req.Header.Set("X-Amz-Target", target+"ListRepositories")
		cred, service, at := st.cred, "codecommit", time.Now()
		if tt.change != nil {
			tt.change(req, &cred, &service, &at)
		}
		sign(req, body, cred, "us-east-1", service, at)
		if tt.after != nil {
			tt.after(req)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Type string `json:"__type"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if out.Type != tt.want || (resp.StatusCode == 200) != (tt.want == "") {
			t.Errorf("%s: %d %q, want %q", tt.name, resp.StatusCode, out.Type, tt.want)
		}
		if resp.Header.Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: no request id", tt.name)
		}
	}
}
