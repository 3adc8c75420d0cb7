package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
)

var known = smartcommit.Options{Projects: map[string]bool{"DEMO": true, "OPS": true}}

func oid(n int) ferry.OID {
	var o ferry.OID
	o[0], o[1], o[2], o[19] = 0xc0, byte(n>>8), byte(n), 1
	return o
}

// push makes a push of one branch with a commit for each message.
func push(branch string, messages ...string) Push {
	name := ferry.RefName("refs/heads/" + branch)
	p := Push{
		Repository: ferry.Repository{ID: 7, Owner: "us-east-1", Name: "demo", DefaultBranch: "main"},
		Pusher:     ferry.User{ID: 1, Name: "alice"},
	}
	for i, m := range messages {
		p.Commits = append(p.Commits, Commit{OID: oid(i + 1), Parents: 1, Message: m, Refs: []ferry.RefName{name}})
	}
	p.Updates = []Update{{RefUpdate: ferry.RefUpdate{Name: name, Old: oid(1000), New: oid(len(messages))}}}
	return p
}

// states answers from a fixed table; what is not in it is Unchecked.
func states(table map[ferry.IssueKey]IssueState) IssueStates {
	return func(context.Context, []ferry.IssueKey) map[ferry.IssueKey]IssueState { return table }
}

func TestJudgeMessages(t *testing.T) {
	table := states(map[ferry.IssueKey]IssueState{"DEMO-1": Exists, "DEMO-404": Missing, "QQQ-1": Missing, "NEW-1": Exists})
	pattern, err := CompilePattern(`^[A-Z]+-\d+: `)
	if err != nil {
		t.Fatal(err)
	}
	merge := func(p *Push) { p.Commits[0].Parents = 2 }
	for _, tt := range []struct {
		name    string
		rules   Rules
		message string
		change  func(*Push)
		want    []string
	}{
		{"nothing asked", Rules{}, "no key", nil, nil},
		{"key there", Rules{RequireKey: true}, "DEMO-1 x", nil, nil},
		{"key missing", Rules{RequireKey: true}, "tidy", nil, []string{"no issue key"}},
		{"key only in a URL", Rules{RequireKey: true}, "see https://j.example/browse/DEMO-1", nil, nil},
		{"unknown project not there", Rules{RequireKey: true}, "QQQ-1 x", nil, []string{"no issue key: there is no QQQ-1"}},
		{"unknown project that Jira knows", Rules{RequireKey: true}, "NEW-1 x", nil, nil},
		{"unknown project not checked", Rules{RequireKey: true}, "ZZZ-1 x", nil, nil},
		{"issue not there", Rules{KeyMustExist: true}, "DEMO-404 x", nil, []string{"DEMO-404: no such issue"}},
		{"issue not checked", Rules{KeyMustExist: true}, "DEMO-2 x", nil, nil},
		{"word that looks like a key", Rules{KeyMustExist: true}, "DEMO-1 use QQQ-1", nil, nil},
		{"project allowed", Rules{Projects: []string{"DEMO"}}, "DEMO-1", nil, nil},
		{"project not allowed", Rules{Projects: []string{"DEMO"}}, "DEMO-1 OPS-2", nil, []string{"OPS-2: project OPS is not allowed here (allowed: DEMO)"}},
		{"pattern", Rules{MessagePattern: pattern}, "DEMO-1: x", nil, nil},
		{"pattern not matched", Rules{MessagePattern: pattern}, "DEMO-1 x", nil, []string{`the message does not match the pattern ^[A-Z]+-\d+: `}},
		{"every reason", Rules{RequireKey: true, MessagePattern: pattern}, "x", nil, []string{"no issue key", `the message does not match the pattern ^[A-Z]+-\d+: `}},
		{"merge", Rules{RequireKey: true}, "Merge", merge, []string{"no issue key"}},
		{"exempt merge", Rules{RequireKey: true, ExemptMerges: true}, "Merge", merge, nil},
		{"merges exempt, no merge", Rules{RequireKey: true, ExemptMerges: true}, "Merge", nil, []string{"no issue key"}},
		{"exempt revert", Rules{RequireKey: true, ExemptReverts: true}, "Revert \"x\"\n\nbody", nil, nil},
		{"exempt user", Rules{RequireKey: true, ExemptUsers: []string{"bot", "alice"}}, "x", nil, nil},
		{"other user", Rules{RequireKey: true, ExemptUsers: []string{"bot"}}, "x", nil, []string{"no issue key"}},
		{"exempt branch", Rules{RequireKey: true, ExemptBranches: []string{"wip/**"}}, "x", func(p *Push) {
			p.Commits[0].Refs = []ferry.RefName{"refs/heads/wip/a/b"}
		}, nil},
		{"exempt branch and another", Rules{RequireKey: true, ExemptBranches: []string{"wip/**"}}, "x", func(p *Push) {
			p.Commits[0].Refs = []ferry.RefName{"refs/heads/wip/a/b", "refs/heads/main"}
		}, []string{"no issue key"}},
		{"tag of an exempt name", Rules{RequireKey: true, ExemptBranches: []string{"**"}}, "x", func(p *Push) {
			p.Commits[0].Refs = []ferry.RefName{"refs/tags/v1"}
		}, []string{"no issue key"}},
		{"no ref", Rules{RequireKey: true, ExemptBranches: []string{"**"}}, "x", func(p *Push) {
			p.Commits[0].Refs = nil
		}, []string{"no issue key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := push("topic", tt.message)
			if tt.change != nil {
				tt.change(&p)
			}
			v := Judge(t.Context(), p, tt.rules, table, known)
			if diff := cmp.Diff(tt.want, v.Commits[0].Reasons); diff != "" {
				t.Errorf("reasons for %q (-want +got):\n%s", tt.message, diff)
			}
			if v.Refused != (tt.want != nil) {
				t.Errorf("Refused = %v with reasons %q", v.Refused, v.Commits[0].Reasons)
			}
		})
	}
}

func TestJudgeDefaultBranch(t *testing.T) {
	main := ferry.RefName("refs/heads/main")
	deleted := ferry.RefUpdate{Name: main, Old: oid(1)}
	moved := ferry.RefUpdate{Name: main, Old: oid(1), New: oid(2)}
	other := ferry.RefUpdate{Name: "refs/heads/other", Old: oid(1), New: oid(2)}
	for _, tt := range []struct {
		name   string
		update Update
		rules  Rules
		admin  bool
		want   bool
	}{
		{"fast-forward", Update{RefUpdate: moved}, DefaultRules(), false, false},
		{"forced", Update{RefUpdate: moved, Forced: true}, DefaultRules(), false, true},
		{"deleted", Update{RefUpdate: deleted}, DefaultRules(), false, true},
		{"forced by an admin", Update{RefUpdate: moved, Forced: true}, DefaultRules(), true, true},
		{"forced by an admin who may", Update{RefUpdate: moved, Forced: true}, Rules{ProtectDefaultBranch: true, AdminsMayRewrite: true}, true, false},
		{"forced by another where admins may", Update{RefUpdate: moved, Forced: true}, Rules{ProtectDefaultBranch: true, AdminsMayRewrite: true}, false, true},
		{"not protected", Update{RefUpdate: deleted}, Rules{}, false, false},
		{"another branch forced", Update{RefUpdate: other, Forced: true}, DefaultRules(), false, false},
		{"tag of that name", Update{RefUpdate: ferry.RefUpdate{Name: "refs/tags/main", Old: oid(1)}}, DefaultRules(), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := push("main")
			p.Updates, p.MayRewriteDefault = []Update{tt.update}, tt.admin
			v := Judge(t.Context(), p, tt.rules, nil, known)
			if v.Refused != tt.want || len(v.Refs) > 0 != tt.want {
				t.Errorf("Judge(%+v) refused %v with %v, want %v", tt.update, v.Refused, v.Refs, tt.want)
			}
		})
	}
	t.Run("the second of two refs", func(t *testing.T) {
		p := push("main")
		p.Updates = []Update{{RefUpdate: other}, {RefUpdate: deleted}}
		want := []RefFault{{Name: main, Reasons: []string{"the default branch cannot be deleted"}}}
		if diff := cmp.Diff(want, Judge(t.Context(), p, DefaultRules(), nil, known).Refs); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("empty repository", func(t *testing.T) {
		p := push("main")
		p.Repository.DefaultBranch = ""
		p.Updates = []Update{{RefUpdate: moved, Forced: true}}
		if v := Judge(t.Context(), p, DefaultRules(), nil, known); v.Refused {
			t.Errorf("refused: %v", v.Refs)
		}
	})
}

func TestJudgeStates(t *testing.T) {
	var asked []ferry.IssueKey
	answer := func(_ context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]IssueState {
		asked = append(asked, keys...)
		return map[ferry.IssueKey]IssueState{"DEMO-1": Exists, "DEMO-404": Missing, "DMEO-3": Missing, "NEW-4": Exists}
	}
	p := push("DEMO-9-topic", "DEMO-1 and DEMO-404", "DEMO-1, DMEO-3", "OPS-2 NEW-4")
	v := Judge(t.Context(), p, DefaultRules(), answer, known)
	want := []ferry.IssueKey{"DEMO-1", "DEMO-404", "DMEO-3", "OPS-2", "NEW-4"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
	got := Verdict{Keys: v.Keys, Missing: v.Missing, Unchecked: v.Unchecked, Nearest: v.Nearest, RefKeys: v.RefKeys}
	if diff := cmp.Diff(Verdict{
		Keys:      []ferry.IssueKey{"DEMO-1", "OPS-2", "NEW-4"},
		Missing:   []ferry.IssueKey{"DEMO-404", "DMEO-3"},
		Unchecked: []ferry.IssueKey{"OPS-2"},
		Nearest:   map[ferry.IssueKey]string{"DMEO-3": "DEMO"},
		RefKeys:   map[ferry.RefName][]ferry.IssueKey{"refs/heads/DEMO-9-topic": {"DEMO-9"}},
	}, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	if v := Judge(t.Context(), p, Rules{RequireKey: true, KeyMustExist: true}, nil, known); v.Refused || v.Unchecked != nil {
		t.Errorf("with nobody to ask: refused %v, unchecked %v", v.Refused, v.Unchecked)
	}
}

func TestJudgeAsksAboutAtMostMaxKeys(t *testing.T) {
	var messages []string
	for i := range MaxKeys/MaxKeysPerMessage + 2 {
		var b strings.Builder
		for j := range MaxKeysPerMessage {
			fmt.Fprintf(&b, "DEMO-%d ", i*MaxKeysPerMessage+j+1)
		}
		messages = append(messages, b.String())
	}
	asked := 0
	v := Judge(t.Context(), push("topic", messages...), DefaultRules(), func(_ context.Context, keys []ferry.IssueKey) map[ferry.IssueKey]IssueState {
		asked = len(keys)
		return nil
	}, known)
	if asked != MaxKeys || len(v.Notes) != 1 || v.Refused {
		t.Errorf("asked about %d issues, notes %q, refused %v", asked, v.Notes, v.Refused)
	}
	if n := len(v.Unchecked); n != len(messages)*MaxKeysPerMessage {
		t.Errorf("%d unchecked issues, want all %d", n, len(messages)*MaxKeysPerMessage)
	}
}

const MaxKeysPerMessage = smartcommit.MaxKeys

func TestJudgeTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := Judge(ctx, push("topic", "DEMO-1"), Rules{RequireKey: true}, nil, known)
	if !v.Refused || len(v.Notes) != 1 {
		t.Errorf("refused %v, notes %q; want a refusal that says why", v.Refused, v.Notes)
	}
	if got := Feedback(v, FeedbackOptions{}); len(got) < 2 || !strings.Contains(strings.Join(got, " "), "in time") {
		t.Errorf("feedback %q", got)
	}
}

func TestRules(t *testing.T) {
	if got := DefaultRules(); !got.ProtectDefaultBranch || got.AdminsMayRewrite || got.judgesMessages() {
		t.Errorf("DefaultRules() = %+v", got)
	}
	if _, err := CompilePattern(strings.Repeat("a", MaxPattern)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{strings.Repeat("a", MaxPattern+1), "(", `a(?=b)`} {
		if _, err := CompilePattern(bad); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("CompilePattern(%.20q): %v, want ErrInvalid", bad, err)
		}
	}
	for _, bad := range []Rules{{Projects: []string{"demo"}}, {ExemptBranches: []string{""}}, {ExemptBranches: []string{strings.Repeat("x", 300)}}} {
		if err := bad.Validate(); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%+v.Validate() = %v, want ErrInvalid", bad, err)
		}
	}
	var r Rules
	if err := json.Unmarshal([]byte(`{"require_key":true,"message_pattern":"^x","projects":["DEMO"]}`), &r); err != nil || r.Validate() != nil {
		t.Fatal(err, r.Validate())
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"message_pattern":"^x"`) {
		t.Errorf("JSON %s, %v", b, err)
	}
}
