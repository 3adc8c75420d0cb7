package ghshape

import (
	"testing"
	"time"

	"gitferry/internal/ferry"
)

func TestAddresses(t *testing.T) {
	r := ferry.Repository{Owner: "us-east-1", Name: "demo"}
	for _, c := range []struct{ public, ssh, want string }{
		{"https://git.example.com", "git.example.com:22", "git@git.example.com:us-east-1/demo.git"},
		{"https://git.example.com", "git.example.com", "git@git.example.com:us-east-1/demo.git"},
		{"https://git.example.com", "git.example.com:7022", "ssh://git@git.example.com:7022/us-east-1/demo.git"},
		{"http://127.0.0.1:7080", "", "git@127.0.0.1:us-east-1/demo.git"},
		{"http://[::1]:7080", "[::1]:7022", "ssh://git@[::1]:7022/us-east-1/demo.git"},
	} {
		if got := (Shape{Public: c.public, SSHHost: c.ssh}).SSHURL(r); got != c.want {
			t.Errorf("SSHURL with %s and %q = %s, want %s", c.public, c.ssh, got, c.want)
		}
	}
	if got, want := EscapePath("a b/ü,#?%+"), "a%20b/%C3%BC%2C%23%3F%25+"; got != want {
		t.Errorf("EscapePath = %s, want %s", got, want)
	}
	if got, want := NodeID("Repository", 17), "MDEwOlJlcG9zaXRvcnkxNw=="; got != want { // 010:Repository17
		t.Errorf("NodeID = %s, want %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 22, 11, 3, 0, 123456789, time.FixedZone("", 3600))
	if got := Date(at); got != "2026-11-22T10:03:00Z" {
		t.Errorf("Date = %v", got)
	}
	if got := Date(time.Time{}); got != "1970-01-01T00:00:00Z" {
		t.Errorf("the zero time is %v", got)
	}
}

func TestStrangers(t *testing.T) {
	for arn, want := range map[string]string{"arn:aws:iam::123456789012:user/dev/alice": "alice", "arn:aws:sts::123456789012:assumed-role/admin/session": "session",
		"arn:aws:iam::123456789012:root": "root", "bob": "bob", "odd/": "odd/"} {
		if got := LoginOf(arn); got != want {
			t.Errorf("LoginOf(%q) = %q, want %q", arn, got, want)
		}
	}
	s := Shape{Public: "https://x"}
	a, b := s.Stranger("arn:aws:iam::1:user/alice"), s.Stranger("arn:aws:iam::2:user/alice")
	if a["id"] == b["id"] || a["id"].(int64) >= 0 {
		t.Errorf("ids of strangers: %v, %v", a["id"], b["id"])
	}
}
