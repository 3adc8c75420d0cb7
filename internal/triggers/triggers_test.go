package triggers

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Only an address that AWS can reach leads to triggers.
func TestReachable(t *testing.T) {
	account := ferry.Integration{}
	standIn := ferry.Integration{SNSEndpoint: "http://127.0.0.1:7081/", PrivateNetwork: true}
	for _, c := range []struct {
		url  string
		i    ferry.Integration
		want string
	}{
		{"https://ferry.example.com", account, ""},
		{"http://ferry.example.com", account, "not https"},
		{"http://127.0.0.1:7080", account, "not https"},
		{"https://127.0.0.1:7080", account, "no host name"},
		{"https://192.0.2.7", account, "no host name"},
		{"https://localhost", account, "no host name"},
		{"https://ferry", account, "no host name"},
		{"", account, "no public address"},
		{"http://127.0.0.1:7080", standIn, ""},
		{"http://ferry.example.com", standIn, "not https"},
		{"http://127.0.0.1:7080", ferry.Integration{SNSEndpoint: "http://127.0.0.1:7081"}, "not https"},
		{"http://127.0.0.1:7080", ferry.Integration{SNSEndpoint: "https://sns.example.com", PrivateNetwork: true}, "not https"},
	} {
		got := (&Triggers{PublicURL: c.url}).reachable(c.i)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("reachable at %q: %q, want %q", c.url, got, c.want)
		}
	}
	if got := StandIn(standIn); got != "http://127.0.0.1:7081" {
		t.Errorf("StandIn = %q", got)
	}
}

// A subscription is confirmed only if it was asked for, lately, for the topic
// in use, and was not ended since; nothing is asked of AWS for any other.
func TestConfirmRefusals(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gitferry.db"), store.Options{MasterKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	i, err := st.AddIntegration(t.Context(), ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	tr := &Triggers{Store: st, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }} // without a Client: a call would panic
	if err := tr.Confirm(t.Context(), i.ID, "arn:t", "token"); !errors.Is(err, ferry.ErrDenied) {
		t.Errorf("nothing set up: %v", err)
	}
	for name, s := range map[string]store.TriggerSetup{
		"another topic": {State: store.TriggersPending, Topic: "arn:other", AskedAt: now},
		"never asked":   {State: store.TriggersPolling, Topic: "arn:t"},
		"long ago":      {State: store.TriggersPending, Topic: "arn:t", AskedAt: now.Add(-TokenLife - time.Minute)},
		"ended":         {State: store.TriggersEnded, Topic: "arn:t", AskedAt: now},
	} {
		s.Integration = i.ID
		if err := st.SetTriggerSetup(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := tr.Confirm(t.Context(), i.ID, "arn:t", "token"); !errors.Is(err, ferry.ErrDenied) {
			t.Errorf("%s: Confirm = %v, want denied", name, err)
		}
	}
	// What another installation put under our usual name stays.
	theirs := []codecommit.Trigger{{Name: name, Destination: "arn:theirs"}}
	for _, c := range []struct{ former, want string }{{"", tr.secondName()}, {"arn:theirs", name}} {
		if got := tr.ownName(theirs, "arn:t", c.former); got != c.want {
			t.Errorf("our name beside theirs, after %q: %q, want %q", c.former, got, c.want)
		}
	}
}
