package policy

import (
	"fmt"
	"net/url"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
)

// FeedbackOptions say what Feedback shows.
type FeedbackOptions struct {
	// BaseURL is the address of gitferry's pages, without a slash at the end;
	// empty: no links.
	BaseURL string
	// Quiet leaves out all lines of an accepted push.
	Quiet bool
	// CommandsOff: smart commits are not carried out for this push.
	CommandsOff bool
	// ActsAs says as whom a commit's commands will be carried out; nil, or "":
	// it is not said.
	ActsAs func(Finding) string
	// Fails says why a command is going to fail as things stand, or "" if
	// nothing is known to be in its way; nil: nothing is known at all.
	Fails func(smartcommit.Action) string
}

const (
	maxAccepted   = 20  // lines about an accepted push, product-behaviour.md 24.1
	maxRefused    = 200 // lines about a refused push, security.md PUSH-18
	maxListedKeys = 20  // keys in one list
	maxLinks      = 3   // issues with a link
)

// Feedback returns the lines that tell the developer about a push, to be sent
// as progress; git puts "remote: " before each. A line begins with
// "gitferry:", holds no control character, and with git's word is at most 80
// columns wide, but that addresses and commands are never cut.
//
// An accepted push gets at most 20 lines, a refused one up to 200, with every
// refused commit, every reason and the commands of Repair.
func Feedback(v Verdict, o FeedbackOptions) []string {
	o.BaseURL = strings.TrimRight(o.BaseURL, "/")
	var s sheet
	if v.Refused {
		s.refused(v)
		return s.lines
	}
	if o.Quiet {
		return nil
	}
	s.accepted(v, o)
	more := ""
	if o.BaseURL != "" {
		more = ", see " + o.BaseURL + "/" + v.Repository.Path()
	}
	return s.cut(maxAccepted, more)
}

// refused writes what is wrong and how to repair it.
func (s *sheet) refused(v Verdict) {
	faults := v.Faults()
	var what []string
	if n := len(faults); n > 0 {
		what = append(what, fmt.Sprintf("%d of %s", n, count(len(v.Commits), "new commit")))
	}
	if n := len(v.Refs); n > 0 {
		what = append(what, count(n, "ref"))
	}
	s.wrap("push refused by the rules of "+v.Repository.Path()+": "+strings.Join(what, ", "), "  ")
	if len(what) == 0 {
		s.lines = nil
		s.wrap("push refused by "+v.Repository.Path(), "  ")
	}
	for _, f := range v.Refs {
		for _, r := range f.Reasons {
			s.wrap(f.Name.Short()+": "+r, "  ")
		}
	}
	for _, f := range faults {
		s.fact(f.OID.Short() + " " + f.Subject)
		for _, r := range f.Reasons {
			s.wrap("  - "+r, "    ")
		}
	}
	for _, n := range v.Notes {
		s.wrap(n, "  ")
	}
	repair := v.Repair()
	tail := 0
	if len(repair) > 0 {
		tail = len(repair) + 1
	}
	s.lines = s.cut(maxRefused-tail, "")
	if len(repair) > 0 {
		s.fact("to repair, paste:")
		for _, c := range repair {
			s.verbatim(c)
		}
	}
}

// accepted writes what was found, the most important first.
func (s *sheet) accepted(v Verdict, o FeedbackOptions) {
	if len(v.Keys) > 0 {
		s.wrap(count(len(v.Commits), "commit")+" for "+listKeys(v.Keys), "  ")
		for _, k := range v.Keys[:min(len(v.Keys), maxLinks)] {
			if o.BaseURL != "" {
				s.verbatim(string(k) + ": " + o.BaseURL + "/issues/" + string(k))
			}
		}
	}
	missing := map[ferry.IssueKey]bool{}
	for _, k := range v.Missing {
		missing[k] = true
		text := string(k) + ": no such issue; the push is accepted"
		if near := v.Nearest[k]; near != "" {
			text = string(k) + ": no such issue, nearest project: " + near + "; the push is accepted"
		}
		s.wrap(text, "  ")
	}
	if len(v.Unchecked) > 0 {
		s.wrap("not checked, Jira was not asked: "+listKeys(v.Unchecked)+"; the push goes on", "  ")
	}
	for _, n := range v.Notes {
		s.wrap(n, "  ")
	}
	s.newBranches(v, o)
	commands := 0
	for _, f := range v.Commits {
		for _, w := range f.Warnings {
			s.wrap(f.OID.Short()+": "+smartcommit.WarningText(w), "  ")
		}
		commands += len(f.Actions)
		if !o.CommandsOff {
			s.commands(f, missing, o)
		}
	}
	if o.CommandsOff && commands > 0 {
		s.fact(count(commands, "command") + " not carried out: smart commits are off")
	}
	for _, f := range v.Commits {
		if len(f.Keys) == 0 && len(f.Unknown) == 0 {
			s.factWith(f.OID.Short()+" "+f.Subject, ": no issue key; accepted")
		}
	}
}

// commands writes a line for each command of a commit.
func (s *sheet) commands(f Finding, missing map[ferry.IssueKey]bool, o FeedbackOptions) {
	will := ", will run"
	if o.ActsAs != nil && len(f.Actions) > 0 {
		if who := o.ActsAs(f); who != "" {
			will += " as " + who
		}
	}
	for _, a := range f.Actions {
		end := will
		if missing[a.Key] {
			end = ", not done: no such issue"
		} else if o.Fails != nil {
			if why := o.Fails(a); why != "" {
				s.wrap(string(a.Key)+": "+a.Describe()+", will fail: "+why, "  ")
				continue
			}
		}
		s.factWith(string(a.Key)+": "+a.Describe(), end)
	}
}

// newBranches writes where to make a pull request for a branch that is new.
func (s *sheet) newBranches(v Verdict, o FeedbackOptions) {
	if o.BaseURL == "" || v.Repository.DefaultBranch == "" {
		return
	}
	for _, u := range v.Updates {
		name := u.Name.Short()
		if !u.IsCreate() || !u.Name.IsBranch() || name == v.Repository.DefaultBranch {
			continue
		}
		keys := v.RefKeys[u.Name]
		if len(keys) == 0 {
			keys = v.Keys
		}
		s.factWith("pull request for "+name, ":")
		if len(keys) == 0 {
			s.verbatim(o.BaseURL + "/" + v.Repository.Path() + "/compare/" +
				pathEscape(v.Repository.DefaultBranch) + "..." + pathEscape(name))
			continue
		}
		q := url.Values{
			"repo": {fmt.Sprint(v.Repository.ID)}, "source": {name}, "target": {v.Repository.DefaultBranch},
		}
		s.verbatim(o.BaseURL + "/issues/" + string(keys[0]) + "/pulls/new?" + q.Encode())
	}
}

// pathEscape escapes a branch name for a path, slashes left as they are.
func pathEscape(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
}

// listKeys joins keys, the first of many.
func listKeys(keys []ferry.IssueKey) string {
	if len(keys) <= maxListedKeys {
		return joinKeys(keys)
	}
	return fmt.Sprintf("%s and %d more", joinKeys(keys[:maxListedKeys]), len(keys)-maxListedKeys)
}

// count writes "1 commit", "2 commits".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
