package policy

import (
	"strings"

	"gitferry/internal/ferry"
)

// maxRewords is the most commits that Repair names one by one.
const maxRewords = 40

// shortID is how many digits of an object name the commands show.
const shortID = 10

// Repair returns the commands that repair a refused push, one a line, ready
// to be pasted into a POSIX shell in the repository that was pushed from, with
// the pushed branch checked out; none if no command can. Git opens an editor
// for each message. They need git 2.32 or later and a remote named origin
// where one is named. Names are quoted.
func (v Verdict) Repair() []string {
	if !v.Refused {
		return nil
	}
	var commands []string
	groups := v.faultsByRef()
	for _, g := range groups {
		switch {
		case g.ref.IsTag():
			commands = append(commands, "git switch --detach "+shellQuote(g.ref.Short()))
		case len(groups) > 1:
			commands = append(commands, "git switch "+shellQuote(g.ref.Short()))
		}
		commands = append(commands, v.reword(g)...)
		if g.ref.IsTag() {
			commands = append(commands, "git tag -f "+shellQuote(g.ref.Short()), "git switch -")
		}
	}
	push := "git push"
	for _, u := range v.Updates {
		if !u.Forced || u.IsDelete() {
			continue
		}
		if !v.refFails(u.Name) {
			push = "git push --force-with-lease"
			continue
		}
		commands = append(commands, "git pull --rebase origin "+shellQuote(u.Name.Short()))
	}
	if len(commands) == 0 {
		return nil
	}
	return append(commands, push)
}

func (v Verdict) refFails(name ferry.RefName) bool {
	for _, f := range v.Refs {
		if f.Name == name {
			return true
		}
	}
	return false
}

// refFaults are the refused commits to be repaired on one ref.
type refFaults struct {
	ref    ferry.RefName
	tip    ferry.OID
	faults []Finding
}

// faultsByRef gives each refused commit to one ref that brings it, branches
// before tags.
func (v Verdict) faultsByRef() []refFaults {
	var groups []refFaults
	given := map[ferry.OID]bool{}
	faults := v.Faults()
	for _, tags := range []bool{false, true} {
		for _, u := range v.Updates {
			if u.IsDelete() || u.Name.IsTag() != tags {
				continue
			}
			g := refFaults{ref: u.Name, tip: u.New}
			for _, f := range faults {
				if !given[f.OID] && f.on(u.Name) {
					given[f.OID] = true
					g.faults = append(g.faults, f)
				}
			}
			if len(g.faults) > 0 {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

func (f Finding) on(name ferry.RefName) bool {
	for _, r := range f.Refs {
		if r == name {
			return true
		}
	}
	return false
}

// reword returns the commands that give the commits of g new messages while
// the ref is checked out.
func (v Verdict) reword(g refFaults) []string {
	oldest := g.faults[0]
	if len(g.faults) == 1 && oldest.OID == g.tip {
		return []string{"git commit --amend"}
	}
	since := v.since(oldest.OID, g.ref)
	rebase := "git rebase -i "
	if since.merges {
		rebase = "git rebase -ir "
	}
	base := oldest.OID.String()[:shortID] + "~1"
	if oldest.Parents == 0 {
		base = "--root"
	}
	if len(g.faults) > maxRewords || since.fixups {
		return []string{"# write reword before each commit named above", rebase + base}
	}
	// Each new message goes into an empty "amend!" commit, and the rebase
	// moves it onto its commit without asking anything. Git finds that commit
	// by its subject, or by its name where subjects are equal.
	var commands []string
	each := "git commit --fixup=reword:"
	if since.equal {
		commands = append(commands, `reword() { git commit --allow-empty -e -m "amend! $1" \`,
			`  -m "$(git show -s --format=%B "$1")"; }`)
		each = "reword "
	}
	for _, f := range g.faults {
		commands = append(commands, each+f.OID.String()[:shortID])
	}
	return append(commands, "GIT_SEQUENCE_EDITOR=: "+rebase+"--autosquash "+base)
}

// A stretch says what there is among the new commits of a ref from one on.
type stretch struct {
	merges bool // commits with several parents
	fixups bool // commits that --autosquash would move
	equal  bool // equal subjects
}

func (v Verdict) since(oldest ferry.OID, ref ferry.RefName) stretch {
	var s stretch
	subjects := map[string]bool{}
	reached := false
	for _, f := range v.Commits {
		reached = reached || f.OID == oldest
		if !reached || !f.on(ref) {
			continue
		}
		for _, prefix := range []string{"fixup!", "squash!", "amend!"} {
			s.fixups = s.fixups || strings.HasPrefix(f.Subject, prefix)
		}
		s.merges = s.merges || f.Parents > 1
		s.equal = s.equal || subjects[f.Subject]
		subjects[f.Subject] = true
	}
	return s
}

// shellQuote quotes a word for a POSIX shell. Ref names may hold anything
// that a shell obeys but blanks and a few others.
func shellQuote(s string) string {
	safe := s != "" && s[0] != '-'
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("._/+-@", rune(c)) {
			safe = false
		}
	}
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
