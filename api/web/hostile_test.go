package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// payloads are texts that pages must show harmless (security.md, 8a).
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`, `javascript:alert(1)`, `java&Tab;script:alert(1)`, "java\tscript:alert(1)",
	`data:text/html,<script>alert(1)</script>`, `</title><svg/onload=alert(1)>`, `{{constructor.constructor('alert(1)')()}}`, `${alert(1)}`, "`-alert(1)-`", `]]>`, `<!--`,
	"\u202ereversed", "zero\u200bwidth", `%0d%0aSet-Cookie:x=1`, `</textarea><script>alert(1)</script>`, `</pre></td><script>alert(1)</script>`,
}

// stored are texts that git cannot carry in names, but our books can hold.
var stored = append(slices.Clone(payloads), "nul\x00byte <script>alert(1)</script>", "\xff\xfe<script>alert(1)</script>", "java\nscript:alert(1)", strings.Repeat("<", 64<<10))

// file and ref names cannot hold all of it.
func nameOf(payload string) string {
	return strings.NewReplacer("/", "∕", " ", "_", "\t", "_", "~", "_", "^", "_", ":", "_", "?", "_", "*", "_", "[", "_", "\\", "_", "@{", "@_", "\u202e", "", "..", "_").Replace(payload)
}

// hostile makes a world in which everything that others write is a payload.
func hostile(t *testing.T) (w *world, pages []string) {
	w = newWorld(t)
	w.standIns()
	work := w.history()
	all := strings.Join(payloads, "\n")
	for i, p := range payloads {
		work.Run("checkout", "-q", "main")
		work.Write("f/"+nameOf(p)+".go", p+"\n"+all+"\n")
		work.Write("README.md", "# "+p+"\n\n"+all+"\n\n[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](data:text/html,x) ![i]("+p+")\n<img src=x onerror=alert(1)>\n")
		work.Run("add", "-A")
		name := strings.NewReplacer("<", "‹", ">", "›", "\t", " ").Replace(p) // git takes no angle brackets in identities
		work.Run("-c", "user.name="+name, "-c", "user.email="+strings.ReplaceAll(name, " ", ""), "commit", "-q", "-m", fmt.Sprintf("DEMO-1 %s\n\n%s\nhttps://example.com/%s OPS-2", p, all, p))
		work.Run("branch", fmt.Sprintf("DEMO-1-%d-%s", i, nameOf(p)))
		work.Run("tag", "-a", "-m", p, fmt.Sprintf("t%d-%s", i, nameOf(p)))
	}
	w.more(work)
	work.Commit("DEMO-1 long " + strings.Repeat("<", 64<<10))
	work.Commit("DEMO-1 bytes \xff\xfe <script>alert(1)</script>", "bytes.txt", "\xff\xfe<script>alert(1)</script>\n", "nul.txt", "a\x00<script>alert(1)</script>\n", "long.txt", strings.Repeat("<", 64<<10))
	work.Run("push", "-q", w.cloneURL("demo"), "main")
	work.Run("push", "-q", w.cloneURL("demo"), "--all")
	work.Run("push", "-q", w.cloneURL("demo"), "--tags")
	w.connect()
	ctx := t.Context()
	root := w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	root.Display, root.Aliases = payloads[1], nil
	w.must(w.store.UpdateUser(ctx, root))
	var prs []store.PullRequest
	for i, p := range stored {
		prs = append(prs, store.PullRequest{Repository: w.repo.ID, Number: int64(i + 1), Title: p, Description: all, Source: "refs/heads/main", Destination: "refs/heads/side",
			Status: "open", Author: p, MergedBy: p, Reviewers: []store.Reviewer{{Name: p, Approved: true}}, URL: p, CreatedAt: time.Now(), UpdatedAt: time.Now(), Keys: []ferry.IssueKey{"DEMO-1"}})
		short := p[:min(len(p), 90)] // what the books take of a name
		_, _, err := w.store.NewToken(ctx, store.Token{User: root.ID, Name: short, Scopes: []ferry.Scope{ferry.ScopeRepoRead}})
		w.must(err)
		_, err = w.store.AddSSHKey(ctx, store.SSHKey{User: root.ID, Name: short, Type: short, Fingerprint: fmt.Sprintf("SHA256:%d", i), Public: "ssh-ed25519 AAAA"})
		w.must(err)
		w.must(w.store.Audit(ctx, store.AuditEvent{Actor: p, Credential: p, Address: p, Action: p, Object: p, Result: p, Reason: p, Detail: p}))
		w.must(w.store.AddTriggerCall(ctx, store.TriggerCall{Route: p, Address: p, MessageID: p, Result: p, Detail: p}))
		_, err = w.store.RecordRefusedPush(ctx, store.Push{Repository: w.repo.ID, User: root.ID, Credential: p, Address: p, Reason: p})
		w.must(err)
		_, err = w.store.NewSession(ctx, root.ID, p, p)
		w.must(err)
	}
	w.must(w.store.PutPullRequests(ctx, w.repo.ID, prs, nil))
	_, err := w.store.AddIntegration(ctx, ferry.Integration{Slug: "legacy", Name: payloads[1], Kind: ferry.KindGit, GitEndpoint: "http://127.0.0.1:1/x.git", PrivateNetwork: true, Problem: stored[len(stored)-1]}, ferry.Credentials{})
	w.must(err)
	w.must(w.store.BindIdentity(ctx, store.Identity{Issuer: "https://login.example.com", Subject: payloads[1], User: root.ID}))
	hook, err := w.store.AddWebhook(ctx, store.Webhook{Repository: w.repo.ID, URL: "https://ci.example.com/" + payloads[1], ContentType: "json", Events: []string{payloads[0], "push"}, Active: true, LastMessage: all})
	w.must(err)
	for _, p := range payloads {
		w.must(w.store.AddWebhookDelivery(ctx, store.WebhookDelivery{Hook: hook.ID, GUID: p, Event: p, Action: p, Payload: json.RawMessage(strconv.Quote(p))}))
	}
	sent, err := w.store.WebhookDeliveries(ctx, hook.ID, 0, 100)
	w.must(err)
	for _, d := range sent {
		d.State, d.Code, d.Problem, d.Body = store.WebhookDead, 500, all, all
		d.Request, d.Response = map[string]string{payloads[1]: all}, map[string]string{payloads[0]: all}
		w.must(w.store.SaveWebhookDelivery(ctx, d))
	}
	_, _, err = w.store.AddOAuthClient(ctx, store.OAuthClient{Name: all, Redirect: "https://jira.example.com"})
	w.must(err)
	w.must(w.store.RequestEmail(ctx, root.ID, `"onerror=alert(1)@x.example`))
	linked := store.Object{Repository: w.repo.ID, Kind: store.EntityCommit, ID: work.OID("main").String()}
	_, err = w.store.LinkByHand(ctx, linked, ferry.User{Name: payloads[1]}, []ferry.IssueKey{"DEMO-7"}, []ferry.IssueKey{"DEMO-1"})
	w.must(err)
	w.must(w.store.PutIssues(ctx, []store.Issue{{Key: "DEMO-1", Exists: true, Summary: all, Status: payloads[1]}}))
	i, err := w.store.IntegrationBySlug(ctx, "us-east-1")
	w.must(err)
	i.Name, i.Problem = payloads[0]+payloads[1], all
	w.must(w.store.UpdateIntegration(ctx, i, nil))
	w.must(w.store.PauseDeliveries(ctx, payloads[0], time.Time{}))
	w.must(w.store.SetJiraProblem(ctx, all))
	w.must(w.store.ResumeDeliveries(ctx))
	claimed, err := w.store.ClaimEntities(ctx, "test", time.Minute, 20)
	w.must(err)
	var results []store.EntityResult
	for n, e := range claimed {
		results = append(results, store.EntityResult{ID: e.ID, Version: e.Version, State: store.EntityDead, Problem: payloads[n%len(payloads)]})
	}
	w.must(w.store.SaveEntities(ctx, results))
	w.must(w.store.PauseDeliveries(ctx, payloads[0], time.Time{}))

	for _, v := range w.views(work) { // every page that there is
		if v.form == nil && v.as == "" && v.before == nil && !strings.HasPrefix(v.name, "22-") && !slices.Contains(pages, v.path) {
			pages = append(pages, v.path)
		}
	}
	pages = append(pages, "/us-east-1/demo/tree/main/f", "/us-east-1/demo/blob/main/bytes.txt", "/us-east-1/demo/blob/main/nul.txt", "/us-east-1/demo/blob/main/long.txt",
		"/us-east-1/demo/compare/v1.0...main", "/us-east-1/demo/compare/v1.0...main?view=issues", "/us-east-1/demo/compare/v1.0...main?view=commits", "/us-east-1/demo/compare/v1.0...main?view=diff",
		"/admin/users/1", "/us-east-1/demo/commit/"+work.OID("main").String(), "/us-east-1/demo/commit/"+work.OID("main~1").String(), "/us-east-1/demo/commit/"+work.OID("main~4").String(),
		"/repos?q="+"%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/admin/audit?actor=%22%3E%3Cscript%3E", "/us-east-1/demo/branches?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
		"/settings#%22%3E%3Cscript%3E")
	for i := range stored {
		pages = append(pages, fmt.Sprintf("/us-east-1/demo/pull/%d", i+1))
	}
	for i, p := range payloads {
		if i%4 == 0 {
			pages = append(pages, "/us-east-1/demo/blob/main/f/"+escapePath(nameOf(p)+".go"), "/us-east-1/demo/tree/"+escapePath(fmt.Sprintf("DEMO-1-%d-%s", i, nameOf(p))))
		}
	}
	return w, pages
}

// Hostile text in every place is shown and does nothing: by the parsed page.
func TestHostileText(t *testing.T) {
	w, pages := hostile(t)
	b := w.as("root")
	for _, path := range pages {
		status, body, h := b.get(path)
		if status != http.StatusOK {
			t.Errorf("GET %.80s: %d\n%.300s", path, status, body)
			continue
		}
		checkHTML(t, path, body)
		for _, bad := range []string{"<script>alert", "<img src=x", "<svg/onload", "\u202e", "\u200b", "\x00", "\xff"} {
			if strings.Contains(body, bad) {
				t.Errorf("GET %.80s holds %q", path, bad)
			}
		}
		if h.Get("Set-Cookie") != "" {
			t.Errorf("GET %.80s sets a cookie", path)
		}
	}
	if body := b.page("/us-east-1/demo/commits?branch="); !strings.Contains(body, "‹U+202E›reversed") {
		t.Error("a bidirectional control is not shown by its code point")
	}
}

// The same in a browser: nothing runs, nothing is asked of anybody.
func TestHostileTextInBrowser(t *testing.T) {
	ctx := chromium(t)
	w, pages := hostile(t)
	b := w.open(ctx, "root")
	b.missing = true // pictures that hostile READMEs name
	b.size(390, 844)
	for _, path := range pages {
		b.goTo(path)
		if over := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
			t.Errorf("%.100s scrolls sideways by %d on a phone", path, over)
		}
		b.clean(path)
	}
}

// In a world with hostile text, each form that fails shows what was entered.
func TestHostileForms(t *testing.T) {
	w := newWorld(t)
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	for _, p := range payloads {
		for path, fields := range map[string][]string{
			"/admin/users":                       {"name", p, "display", p, "email", p, "glob", p, "level", "read"},
			"/admin/integrations/new":            {"url", p, "username", p, "ssh_key_id", p, "host_key", p, "private_key", "ssh-rsa x"},
			"/admin/integrations/new/codecommit": {"region", p, "access_key_id", p, "name", p, "git_endpoint", p, "role_arn", p},
			"/admin/policy":                      {"pattern", "(" + p, "projects", p, "exempt_users", p},
			"/admin/jira":                        {"kind", "cloud", "url", p, "email", p, "client_id", p},
		} {
			_, body, _ := b.post(path, fields...)
			checkHTML(t, path+" "+p, body)
		}
		_, body, _ := w.browser().post("/login", "name", p, "password", p, "next", p)
		checkHTML(t, "/login "+p, body)
	}
}
