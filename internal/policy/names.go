package policy

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"gitferry/internal/ferry"
)

const notes = "refs/notes/"

// onNotesOnly reports whether the push brings the commit by refs/notes/ alone:
// git notes made it, and nobody wrote its message.
func (f Finding) onNotesOnly() bool {
	for _, ref := range f.Refs {
		if !strings.HasPrefix(string(ref), notes) {
			return false
		}
	}
	return len(f.Refs) > 0
}

// judgeNames refuses notes where they are not allowed, and looks for new refs
// whose names are equal to others after case folding and NFC (security.md,
// PUSH-13).
func (v *Verdict) judgeNames(p Push, r Rules) {
	made := make(map[string]ferry.RefName) // by folded name
	for _, u := range p.Updates {
		switch {
		case u.IsDelete():
		case strings.HasPrefix(string(u.Name), notes) && !r.AllowNotes:
			v.refuse(u.Name, "notes are not taken here; an administrator can allow them in the push policy")
		case !u.IsCreate():
		case made[fold(u.Name)] != "":
			v.similar(r, u.Name, made[fold(u.Name)])
		default:
			made[fold(u.Name)] = u.Name
		}
	}
	if len(made) == 0 {
		return
	}
	gone := make(map[ferry.RefName]bool)
	for _, u := range p.Updates {
		gone[u.Name] = gone[u.Name] || u.IsDelete()
	}
	for _, name := range p.Existing {
		if other := made[fold(name)]; other != "" && other != name && !gone[name] {
			v.similar(r, other, name)
		}
	}
}

func (v *Verdict) similar(r Rules, name, other ferry.RefName) {
	what := "the name differs from that of " + other.Short() + " only by case or Unicode form; some checkouts cannot hold both"
	if r.RefuseSimilarNames {
		v.refuse(name, what)
		return
	}
	v.Notes = append(v.Notes, name.Short()+": "+what)
}

var foldCase = cases.Fold()

// fold returns what names that a folding file system takes for one have in
// common.
func fold(name ferry.RefName) string {
	s := string(name)
	for i := range len(s) {
		if s[i] >= 0x80 {
			return norm.NFC.String(foldCase.String(norm.NFC.String(s)))
		}
	}
	return strings.ToLower(s)
}
