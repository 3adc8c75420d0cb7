package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

// An administrator makes a webhook, tests it, looks at what was sent and what
// came back, sends it again, changes and removes it.
func TestWebhookPages(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	var mu sync.Mutex
	var heard []string // guarded by mu
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.Header.Get("X-GitHub-Event")+" "+r.Header.Get("X-Hub-Signature-256")+" "+string(body))
		_, _ = rw.Write([]byte("thank you"))
	}))
	t.Cleanup(receiver.Close)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.hooks.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wait := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			got := len(heard)
			mu.Unlock()
			if got >= n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the receiver heard %d calls, want %d", got, n)
			}
		}
	}
	b := w.as("root")
	const list = "/admin/webhooks"
	post := func(want int, path string, fields ...string) (string, string) {
		t.Helper()
		status, body, header := b.post(path, fields...)
		if status != want {
			t.Fatalf("POST %s %v: %d, want %d\n%.800s", path, fields, status, want, body)
		}
		if want != http.StatusSeeOther {
			checkHTML(t, path, body)
		}
		return body, header.Get("Location")
	}
	address := receiver.URL + "/hook?key=hidden-in-query"
	add := []string{"repository", "us-east-1/demo", "url", address, "content_type", "json", "event", "push", "active", "1", "secret", "quite-secret"}
	b.page(list, "No webhook yet", "webhooks.private_network")
	if body, _ := post(http.StatusUnprocessableEntity, list, add...); !strings.Contains(body, "want https") || strings.Contains(body, "quite-secret") {
		t.Errorf("a clear-text address: %s", body)
	}
	post(http.StatusSeeOther, list, "do", "private", "private", "1")
	for problem, change := range map[string][2]string{"choose one of the repositories": {"repository", "us-east-1/none"}, "choose at least one event": {"event", "nothing"}} {
		fields := append([]string{}, add...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == change[0] {
				fields[i+1] = change[1]
			}
		}
		if body, _ := post(http.StatusUnprocessableEntity, list, fields...); !strings.Contains(strings.ToLower(body), problem) {
			t.Errorf("%v: the page does not say %q", change, problem)
		}
	}
	_, one := post(http.StatusSeeOther, list, add...)
	wait(1)
	mu.Lock()
	if !strings.HasPrefix(heard[0], "ping sha256=") {
		t.Errorf("the receiver heard %.200q, want a signed ping", heard[0])
	}
	mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.page(one), "DELIVERED"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the ping is not shown as delivered")
		}
	}
	for _, path := range []string{list, one} {
		if body := b.page(path, "/hook?…"); strings.Contains(body, "quite-secret") || path == list && strings.Contains(body, "hidden-in-query") {
			t.Errorf("%s shows a secret", path)
		}
	}
	detail := regexp.MustCompile(`/admin/repositories/1/webhooks/1/deliveries/\d+`).FindString(b.page(one))
	b.page(detail, "thank you", "X-GitHub-Event", "hook_id")
	post(http.StatusSeeOther, one, "do", "redeliver", "id", detail[strings.LastIndex(detail, "/")+1:])
	wait(2)
	post(http.StatusSeeOther, one, "do", "ping")
	wait(3)
	post(http.StatusUnprocessableEntity, one, "do", "save", "url", "ftp://x", "content_type", "json", "event", "push")
	post(http.StatusSeeOther, one, "do", "save", "url", address, "content_type", "form", "event", "create", "event", "delete", "no_secret", "1")
	h, err := w.store.Webhook(t.Context(), w.repo.ID, 1)
	w.must(err)
	if h.Active || h.ContentType != "form" || strings.Join(h.Events, " ") != "create delete" || !h.Secret.IsZero() {
		t.Errorf("after saving: %+v", h)
	}
	b.page(list, "OFF", "create, delete")
	post(http.StatusSeeOther, one, "do", "remove")
	if status, _, _ := b.get(one); status != http.StatusNotFound {
		t.Errorf("a removed webhook answers %d", status)
	}
	b.page("/admin/audit", "webhook.create", "webhook.redeliver", "webhook.remove")
}

func TestOAuthClients(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	b.page("/admin/oauth", "No client yet", `value="Jira"`)
	for _, bad := range []string{"", "javascript:alert(1)", "https://u:p@jira.example.com", "https://jira.example.com/?x=1", "/x", "https://jira.example.com/a/../b"} {
		if status, body, _ := b.post("/admin/oauth", "name", "Jira", "redirect", bad); status != http.StatusUnprocessableEntity || strings.Contains(body, "shown this once") {
			t.Errorf("redirect %q: %d, want 422", bad, status)
		}
	}
	status, body, _ := b.post("/admin/oauth", "name", "Jira", "redirect", "https://jira.example.com/jira")
	if status != http.StatusOK || !strings.Contains(body, "shown this once") {
		t.Fatalf("registering: %d %s", status, body)
	}
	checkHTML(t, "registered", body)
	secret := regexp.MustCompile(`<code>([0-9a-f]{40})</code>`).FindStringSubmatch(body)
	all, err := w.store.OAuthClients(t.Context())
	w.must(err)
	if len(all) != 1 || len(secret) != 2 {
		t.Fatalf("clients %+v, secret shown %v", all, secret)
	}
	if _, err := w.store.OAuthClientBySecret(t.Context(), all[0].ClientID, secret[1]); err != nil {
		t.Errorf("the secret that was shown: %v", err)
	}
	if body := b.page("/admin/oauth", all[0].ClientID, "https://jira.example.com/jira"); strings.Contains(body, secret[1]) {
		t.Error("the secret is shown again")
	}
	b.post("/admin/oauth", "do", "remove", "client", all[0].ClientID)
	b.page("/admin/oauth", "The client is removed")
}
