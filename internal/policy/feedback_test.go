package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestFeedbackAccepted(t *testing.T) {
	table := states(map[ferry.IssueKey]IssueState{"DEMO-1": Exists, "DEMO-404": Missing, "DMEO-3": Missing})
	p := push("topic/x", "DEMO-1 fix the form #comment done as asked #time 1h",
		"tidy up", "DEMO-404 #done", "DMEO-3 and OPS-2: #time soon")
	p.Updates[0].Old = ferry.OID{}
	v := Judge(t.Context(), p, DefaultRules(), table, known)
	got := Feedback(v, FeedbackOptions{
		BaseURL: "https://git.example/",
		ActsAs:  func(f Finding) string { return "Jane Roe" },
	})
	want := strings.Split(strings.TrimSpace(`
gitferry: 4 commits for DEMO-1, OPS-2
gitferry: DEMO-1: https://git.example/issues/DEMO-1
gitferry: OPS-2: https://git.example/issues/OPS-2
gitferry: DEMO-404: no such issue; the push is accepted
gitferry: DMEO-3: no such issue, nearest project: DEMO; the push is
gitferry:   accepted
gitferry: not checked, Jira was not asked: OPS-2; the push goes on
gitferry: pull request for topic/x:
gitferry: https://git.example/issues/DEMO-1/pulls/new?repo=7&source=topic%2Fx&target=main
gitferry: DEMO-1: comment "done as asked", will run as Jane Roe
gitferry: DEMO-1: log 1h, will run as Jane Roe
gitferry: DEMO-404: transition done, not done: no such issue
gitferry: c000040: #time does not begin with a duration in w, d, h or m;
gitferry:   nothing will be logged (write #time 1h 30m)
gitferry: c000020 tidy up: no issue key; accepted
`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("feedback (-want +got):\n%s", diff)
	}
	if got := Feedback(v, FeedbackOptions{Quiet: true}); got != nil {
		t.Errorf("quiet feedback %q", got)
	}
	off := strings.Join(Feedback(v, FeedbackOptions{CommandsOff: true}), "\n")
	if !strings.Contains(off, "3 commands not carried out: smart commits are off") || strings.Contains(off, "will run") {
		t.Errorf("feedback with commands off:\n%s", off)
	}
	if strings.Contains(off, "http") {
		t.Errorf("links without an address:\n%s", off)
	}
}

func TestFeedbackRefused(t *testing.T) {
	pattern, _ := CompilePattern(`^[A-Z]+-\d+: `)
	p := push("main", "DEMO-1: fine", "tidy\tup \x1b[31m\u202e", "DEMO-404: x", "DEMO-1: fine too")
	p.Updates[0].Forced = true
	v := Judge(t.Context(), p, Rules{RequireKey: true, KeyMustExist: true, MessagePattern: pattern, ProtectDefaultBranch: true},
		states(map[ferry.IssueKey]IssueState{"DEMO-1": Exists, "DEMO-404": Missing}), known)
	want := strings.Split(strings.TrimSpace(`
gitferry: push refused by the rules of us-east-1/demo: 2 of 4 new
gitferry:   commits, 1 ref
gitferry: main: forced pushes of the default branch are refused: commits
gitferry:   that others have would be lost
gitferry: c000020 tidy up [31m
gitferry:   - no issue key
gitferry:   - the message does not match the pattern ^[A-Z]+-\d+:
gitferry: c000030 DEMO-404: x
gitferry:   - DEMO-404: no such issue
gitferry: to repair, paste:
gitferry: git commit --fixup=reword:c000020000
gitferry: git commit --fixup=reword:c000030000
gitferry: GIT_SEQUENCE_EDITOR=: git rebase -i --autosquash c000020000~1
gitferry: git pull --rebase origin main
gitferry: git push
`), "\n")
	if diff := cmp.Diff(want, Feedback(v, FeedbackOptions{Quiet: true})); diff != "" {
		t.Errorf("feedback (-want +got):\n%s", diff)
	}
}

func TestFeedbackLimits(t *testing.T) {
	var messages []string
	for i := range 300 {
		messages = append(messages, fmt.Sprintf("DEMO-%d %s #comment %s", i+1, strings.Repeat("修复 ", 30), strings.Repeat("word ", 50)))
	}
	p := push("topic", messages...)
	o := FeedbackOptions{BaseURL: "https://git.example"}
	got := Feedback(Judge(t.Context(), p, DefaultRules(), nil, known), o)
	if len(got) != maxAccepted || !strings.HasPrefix(got[maxAccepted-1], "gitferry: … and ") ||
		!strings.HasSuffix(got[maxAccepted-1], "more, see https://git.example/us-east-1/demo") {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	checkLines(t, got)
	got = Feedback(Judge(t.Context(), p, Rules{Projects: []string{"OPS"}}, nil, known), o)
	if len(got) != maxRefused || got[len(got)-1] != "gitferry: git push" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	checkLines(t, got)
}

// checkLines reports lines that are too wide or hold what a terminal obeys.
func checkLines(t *testing.T, lines []string) {
	t.Helper()
	for _, l := range lines {
		if n := textWidth("remote: " + l); n > 80 && !strings.Contains(l, "://") {
			t.Errorf("%d columns: %q", n, l)
		}
		if !strings.HasPrefix(l, "gitferry:") || strings.ContainsAny(l, "\x1b\n\r\u202e\x00") {
			t.Errorf("line %q", l)
		}
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add("DEMO-1 #comment x\n\nDEMO-2 #done", "topic", true)
	f.Add("tidy \x1b[31m\u202e", "a;b", false)
	f.Add(strings.Repeat("x", 500), "日本語", true)
	f.Fuzz(func(t *testing.T, message, branch string, require bool) {
		p := push(branch, message, "DEMO-1", message)
		p.Updates[0].Old = ferry.OID{}
		v := Judge(t.Context(), p, Rules{RequireKey: require, Projects: []string{"OPS"}}, nil, known)
		got := Feedback(v, FeedbackOptions{})
		for _, l := range got {
			if strings.Contains(l, "git switch") || strings.Contains(l, "git pull") {
				continue // a command with the branch's name is never cut
			}
			checkLines(t, []string{l})
		}
		if len(got) > maxRefused {
			t.Errorf("%d lines", len(got))
		}
	})
}
