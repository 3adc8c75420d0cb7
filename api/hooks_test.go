package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
)

func TestReadEvents(t *testing.T) {
	const record = `{"Records":[{"eventName":"ReferenceChanges","eventSource":"aws:codecommit","eventSourceARN":"arn:aws:codecommit:us-east-2:123456789012:Demo",
		"codecommit":{"references":[{"commit":"x","ref":"refs/heads/main"}]},"customData":null}]}`
	const event = `{"version":"0","detail-type":"CodeCommit Pull Request State Change","source":"aws.codecommit","account":"123456789012","region":"us-east-2",
		"resources":["arn:aws:codecommit:us-east-2:123456789012:Demo"],"detail":{"event":"pullRequestCreated","repositoryNames":["Demo"],"isMerged":"False"}}`
	demo := eventAbout{account: "123456789012", region: "us-east-2", name: "Demo"}
	pull := demo
	pull.pullRequest = true
	for name, c := range map[string]struct {
		message string
		want    *hookEvents
	}{
		"a trigger": {record, &hookEvents{kind: "ReferenceChanges", about: []eventAbout{demo}}},
		"a test":    {strings.Replace(record, "ReferenceChanges", "TriggerEventTest", 1), &hookEvents{kind: "TriggerEventTest", test: true, about: []eventAbout{demo}}},
		"an event":  {event, &hookEvents{kind: "CodeCommit Pull Request State Change", about: []eventAbout{pull}}},
		"a rule": {strings.Replace(event, "detail-type", "detailType", 1),
			&hookEvents{kind: "CodeCommit Pull Request State Change", about: []eventAbout{pull}}},
		"an event without names": {`{"detail-type":"CodeCommit Repository State Change","source":"aws.codecommit","resources":["arn:aws:codecommit:us-east-2:123456789012:Demo"]}`,
			&hookEvents{kind: "CodeCommit Repository State Change", about: []eventAbout{demo}}},
		"another service": {`{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","detail":{}}`, nil},
		"another source":  {strings.Replace(record, "aws:codecommit", "aws:s3", 1), &hookEvents{}},
		"another ARN":     {strings.Replace(record, "arn:aws:codecommit", "arn:aws:s3", 1), &hookEvents{}},
		"text":            {"hello", nil},
		"an empty object": {"{}", nil},
	} {
		got, err := readEvents([]byte(c.message))
		if (err == nil) != (c.want != nil) {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(hookEvents{}, eventAbout{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// call calls a hook address and returns the status.
func (w *world) hook(method, path string) int {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, strings.NewReader("anything"))
	w.must(err)
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	resp.Body.Close()
	return resp.StatusCode
}

// Plain calls have what the address covers looked at, each repository once
// within two seconds; SNS would take any answer below 500 as delivered.
func TestPlainHooks(t *testing.T) {
	w := newWorld(t)
	path := func(route store.TriggerRoute, id int64) string {
		secret, err := w.store.TriggerSecret(t.Context(), route)
		w.must(err)
		if route.Route == "install" {
			return "/hooks/install/" + secret.Reveal()
		}
		return fmt.Sprintf("/hooks/%s/%d/%s", route.Route, id, secret.Reveal())
	}
	install := path(store.TriggerRoute{Route: "install"}, 0)
	account := path(store.TriggerRoute{Route: "integration", Integration: w.repo.IntegrationID}, int64(w.repo.IntegrationID))
	one := path(store.TriggerRoute{Route: "repo", Repository: w.repo.ID}, int64(w.repo.ID))
	queued := func() map[ferry.RepositoryID]int {
		jobs, err := w.store.Jobs(t.Context(), store.JobFilter{Op: store.OpSync, State: store.JobQueued})
		w.must(err)
		n := make(map[ferry.RepositoryID]int)
		for _, j := range jobs {
			n[j.Repository]++
			if j.Source != "webhook" || j.Priority != 22 {
				t.Errorf("job %+v", j)
			}
		}
		return n
	}
	for _, c := range []struct {
		method, path string
		status       int
		want         map[ferry.RepositoryID]int
	}{
		{"GET", one + "x", 404, map[ferry.RepositoryID]int{}},
		{"GET", strings.Replace(one, "/repo/1/", "/repo/2/", 1), 404, map[ferry.RepositoryID]int{}},
		{"DELETE", one, 405, map[ferry.RepositoryID]int{}},
		{"GET", one, 200, map[ferry.RepositoryID]int{w.repo.ID: 1}},
		{"PUT", account, 200, map[ferry.RepositoryID]int{w.repo.ID: 1}},
		{"POST", install, 200, map[ferry.RepositoryID]int{w.repo.ID: 1, w.other.ID: 1}},
	} {
		if got := w.hook(c.method, c.path); got != c.status {
			t.Errorf("%s %.20s…: %d, want %d", c.method, c.path, got, c.status)
		}
		if diff := cmp.Diff(c.want, queued()); diff != "" {
			t.Errorf("after %s %.20s… (-want +got):\n%s", c.method, c.path, diff)
		}
	}
	w.must(w.store.SetSetting(t.Context(), triggers.SettingEnabled, false))
	if got := w.hook("GET", one); got != 200 {
		t.Errorf("switched off: %d", got)
	}
	calls, err := w.store.TriggerCalls(t.Context(), 0, 10)
	w.must(err)
	if len(calls) != 4 || calls[0].Result != "disabled" || calls[1].Route != "install" || calls[3].Repository != w.repo.ID {
		t.Errorf("log: %+v", calls)
	}
	// Without books nothing can be taken, and the sender shall come again.
	w.must(w.store.Close())
	if got := w.hook("POST", one); got != 503 {
		t.Errorf("with the books closed: %d, want 503", got)
	}
}

// When too many calls are under way, further ones are sent away to come again.
func TestBusyHooks(t *testing.T) {
	w := newWorld(t)
	h := newHooks(w.server)
	for range cap(h.places) {
		h.places <- struct{}{}
	}
	e := w.server.echo
	e.GET("/busy/:secret", h.serve("install"))
	if got := w.hook("GET", "/busy/x"); got != 503 {
		t.Errorf("with all places taken: %d, want 503", got)
	}
}
