package ferry

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// actions are all that Check knows; the zero level of each is refused.
var actions = []Action{ActionRead, ActionFetch, ActionGitHubRead, ActionPush, ActionRewriteMain, ActionMaintain, ActionJiraHook,
	ActionAPIRead, ActionAdmin, ActionSelf, ActionWho}

// What each scope of a token opens for an administrator with admin on the
// repository: a scope that is missing here opens nothing (security.md, 17).
func TestScopes(t *testing.T) {
	scopes := []Scope{ScopeRepoRead, ScopeRepoWrite, ScopeAPIRead, ScopeAPIAdmin, ScopeJiraDVCS}
	want := strings.Fields(`
		read         repo:read repo:write api:read api:admin - session
		fetch        repo:read repo:write - - - session
		github-read  repo:read repo:write api:read api:admin jira:dvcs session
		push         - repo:write - - - session
		rewrite-main - repo:write - - - session
		maintain     - - - api:admin - session
		jira-hook    - - - - jira:dvcs session
		api-read     - - api:read api:admin - session
		admin        - - - api:admin - session
		self         - - - api:admin - session
		who          repo:read repo:write api:read api:admin jira:dvcs session`)
	var got []string
	for _, a := range actions {
		got = append(got, string(a))
		for _, allowed := range append(scopes, "session") {
			s := Subject{User: User{ID: 1, Admin: true}, Grants: []Grant{{Glob: "**", Level: LevelAdmin}}}
			if allowed != "session" {
				s.Scopes = []Scope{allowed}
			}
			if Check(s, a, "us-east-1/demo", time.Now()) != nil {
				allowed = "-"
			}
			got = append(got, string(allowed))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what scopes open differs (-want +got):\n%s", d)
	}
}

// What levels open, and what closes everything.
func TestLevels(t *testing.T) {
	want := map[Action]Level{ActionRead: LevelRead, ActionFetch: LevelRead, ActionGitHubRead: LevelRead, ActionPush: LevelWrite,
		ActionRewriteMain: LevelAdmin, ActionMaintain: LevelAdmin, ActionJiraHook: LevelRead}
	now := time.Now()
	for _, a := range actions {
		for level := LevelNone; level <= LevelAdmin; level++ {
			s := Subject{User: User{ID: 1}, Grants: []Grant{{Glob: "us-east-1/*", Level: level}}}
			need, ofRepository := want[a]
			allowed := ofRepository && level >= need || a == ActionWho || a == ActionSelf || a == ActionAPIRead
			if got := Check(s, a, "us-east-1/demo", now) == nil; got != allowed {
				t.Errorf("%s with %s: allowed %v, want %v", a, level, got, allowed)
			}
			for about, closed := range map[string]Subject{
				"nobody":   {},
				"disabled": {User: User{ID: 1, Admin: true, Disabled: true}, Grants: s.Grants},
				"expired":  {User: User{ID: 1, Admin: true}, Grants: s.Grants, Expires: now},
			} {
				if Check(closed, a, "us-east-1/demo", now) == nil {
					t.Errorf("%s is open to somebody %s", a, about)
				}
			}
			elsewhere := s
			elsewhere.Globs = []string{"us-west-2/*"}
			if ofRepository && Check(elsewhere, a, "us-east-1/demo", now) == nil {
				t.Errorf("%s is open to a token for other repositories", a)
			}
			if ofRepository && Check(s, a, "", now) == nil {
				t.Errorf("%s is open without a repository", a)
			}
		}
	}
	if err := Check(Subject{User: User{ID: 1, Admin: true}}, "new", "us-east-1/demo", now); err == nil {
		t.Error("an action that Check does not know is open")
	}
}

// Globs match what a regular expression made of them matches.
func TestMatchGlobAgrees(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, most int) string {
		b := make([]byte, random.IntN(most))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	stars := regexp.MustCompile(`\*+`)
	matched := 0
	for range 50_000 {
		glob, path := text("ab/**", 7), text("ab/", 7)
		pattern := regexp.MustCompile(`^(?s:` + stars.ReplaceAllStringFunc(glob, func(s string) string {
			if len(s) == 1 {
				return `[^/]*`
			}
			return `.*`
		}) + `)$`)
		want := pattern.MatchString(path)
		if got := MatchGlob(glob, path); got != want {
			t.Fatalf("MatchGlob(%q, %q) = %t, want %t", glob, path, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d pairs match", matched)
	}
}
