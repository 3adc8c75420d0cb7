package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
)

// Judge judges a push by the rules. states is asked once, with all issues
// that the new commits name; o says how messages are read.
//
// If ctx ends before all commits were looked at, the push is refused and a
// note says so: what was not judged does not go through.
func Judge(ctx context.Context, p Push, r Rules, states IssueStates, o smartcommit.Options) Verdict {
	v := Verdict{Repository: p.Repository, Updates: p.Updates, RefKeys: map[ferry.RefName][]ferry.IssueKey{}}
	v.judgeRefs(p, r)
	v.judgeNames(p, r)
	for _, u := range p.Updates {
		if u.Name.IsBranch() && !u.IsDelete() {
			if keys := smartcommit.Keys(u.Name.Short(), o); len(keys) > 0 {
				v.RefKeys[u.Name] = keys
			}
		}
	}
	o.Kind = smartcommit.Commit
	offBranch := 0
	for _, c := range p.Commits {
		if ctx.Err() != nil {
			v.tooLate(len(p.Commits))
			return v
		}
		f := Finding{OID: c.OID, Parents: c.Parents, Subject: subject(c.Message), Refs: c.Refs}
		f.OffBranch = len(c.Refs) > 0 && !slices.ContainsFunc(c.Refs, ferry.RefName.IsBranch)
		if !f.onNotesOnly() {
			res := smartcommit.Parse(c.Message, o)
			f.Keys, f.Unknown = res.Keys, res.Unknown
			if !f.OffBranch {
				f.Actions, f.Warnings = res.Actions, res.Warnings
			} else if len(res.Keys) > 0 {
				offBranch++
			}
		}
		v.Commits = append(v.Commits, f)
	}
	if offBranch > 0 {
		v.Notes = append(v.Notes, count(offBranch, "commit")+" with issue keys on a tag only: linked, and commands carried out, once a branch holds them")
	}
	known := v.askStates(ctx, states)
	v.suggest(o.Projects)
	for i := range v.Commits {
		if ctx.Err() != nil && r.judgesMessages() {
			v.tooLate(len(p.Commits))
			return v
		}
		f := &v.Commits[i]
		if f.Exempt = exempt(p, r, *f); !f.Exempt {
			f.judge(r, known, p.Commits[i].Message)
		}
		if len(f.Reasons) > 0 {
			v.Refused = true
		}
	}
	return v
}

func (v *Verdict) tooLate(commits int) {
	v.Refused = true
	v.Notes = append(v.Notes, fmt.Sprintf("the %d new commits could not be judged in time; push again, or push fewer commits at once", commits))
}

// judgeRefs applies the rule for the default branch.
func (v *Verdict) judgeRefs(p Push, r Rules) {
	if !r.ProtectDefaultBranch || p.Repository.DefaultBranch == "" || r.AdminsMayRewrite && p.MayRewriteDefault {
		return
	}
	protected := ferry.RefName("refs/heads/" + p.Repository.DefaultBranch)
	for _, u := range p.Updates {
		if u.Name != protected {
			continue
		}
		switch {
		case u.IsDelete():
			v.refuse(u.Name, "the default branch cannot be deleted")
		case u.Forced:
			v.refuse(u.Name, "forced pushes of the default branch are refused: commits that others have would be lost")
		}
	}
}

func (v *Verdict) refuse(name ferry.RefName, reason string) {
	v.Refused = true
	for i := range v.Refs {
		if v.Refs[i].Name == name {
			v.Refs[i].Reasons = append(v.Refs[i].Reasons, reason)
			return
		}
	}
	v.Refs = append(v.Refs, RefFault{Name: name, Reasons: []string{reason}})
}

// askStates fills Keys, Missing and Unchecked and returns what is known.
func (v *Verdict) askStates(ctx context.Context, states IssueStates) map[ferry.IssueKey]IssueState {
	var ask, keys []ferry.IssueKey
	seen := map[ferry.IssueKey]bool{}
	linked := map[ferry.IssueKey]bool{}
	onBranch := map[ferry.IssueKey]bool{}
	var untold []string // projects
	dropped := 0
	for _, f := range v.Commits {
		for i, list := range [][]ferry.IssueKey{f.Keys, f.Unknown} {
			for _, k := range list {
				if i == 0 && !f.OffBranch {
					linked[k] = true
				}
				if !f.OffBranch {
					onBranch[k] = true
				}
				if seen[k] {
					continue
				}
				seen[k] = true
				keys = append(keys, k)
				if len(ask) < MaxKeys {
					ask = append(ask, k)
				} else {
					dropped++
				}
			}
		}
	}
	var known map[ferry.IssueKey]IssueState
	if states != nil && len(ask) > 0 {
		known = states(ctx, ask)
	}
	for _, k := range keys {
		state := known[k]
		if linked[k] && state != Missing || onBranch[k] && state == Exists {
			v.Keys = append(v.Keys, k)
		}
		switch {
		case state == Missing:
			v.Missing = append(v.Missing, k)
		case state == Unchecked && states != nil:
			v.Unchecked = append(v.Unchecked, k)
		case state == Untold && !slices.Contains(untold, k.Project()):
			untold = append(untold, k.Project())
		}
	}
	if len(untold) > 0 {
		v.Notes = append(v.Notes, "nothing is told about issues of "+strings.Join(untold, ", ")+": no Jira account with your e-mail address can be assigned them")
	}
	if dropped > 0 && states != nil {
		v.Notes = append(v.Notes, fmt.Sprintf("more than %d issues in one push; %d were not checked", MaxKeys, dropped))
	}
	return known
}

// judge applies the rules for messages to one commit.
func (f *Finding) judge(r Rules, known map[ferry.IssueKey]IssueState, message string) {
	named := slices.Clone(f.Keys)
	missing := 0
	for _, k := range f.Unknown {
		// A key of an unknown project that Jira denies is a word that looks
		// like a key (PYTHON-3): no fault, but no issue either.
		if known[k] == Missing {
			missing++
			continue
		}
		named = append(named, k)
	}
	if r.RequireKey && len(named) == 0 {
		if missing > 0 {
			f.fault("no issue key: there is no " + joinKeys(f.Unknown))
		} else {
			f.fault("no issue key")
		}
	}
	if r.KeyMustExist {
		for _, k := range named {
			if known[k] == Missing {
				f.fault(string(k) + ": no such issue")
			}
		}
	}
	if len(r.Projects) > 0 {
		for _, k := range named {
			if !slices.Contains(r.Projects, k.Project()) {
				f.fault(fmt.Sprintf("%s: project %s is not allowed here (allowed: %s)", k, k.Project(), strings.Join(r.Projects, ", ")))
			}
		}
	}
	if re := r.MessagePattern; re != nil && !re.MatchString(message) {
		f.fault("the message does not match the pattern " + re.String())
	}
}

func (f *Finding) fault(reason string) { f.Reasons = append(f.Reasons, reason) }

// exempt reports whether the rules for messages leave the commit alone.
func exempt(p Push, r Rules, f Finding) bool {
	switch {
	case f.onNotesOnly(),
		r.ExemptMerges && f.Parents > 1,
		r.ExemptReverts && (strings.HasPrefix(f.Subject, `Revert "`) || strings.HasPrefix(f.Subject, `Reapply "`)),
		slices.Contains(r.ExemptUsers, p.Pusher.Name):
		return true
	}
	if len(r.ExemptBranches) == 0 || len(f.Refs) == 0 {
		return false
	}
	for _, ref := range f.Refs {
		free := ref.IsBranch() && slices.ContainsFunc(r.ExemptBranches, func(glob string) bool {
			return ferry.MatchGlob(glob, ref.Short())
		})
		if !free {
			return false
		}
	}
	return true
}

// subject returns the first line of a message that is not blank.
func subject(message string) string {
	message = strings.TrimLeftFunc(message, unicode.IsSpace)
	if i := strings.IndexAny(message, "\r\n"); i >= 0 {
		message = message[:i]
	}
	return strings.TrimRightFunc(message, unicode.IsSpace)
}

func joinKeys(keys []ferry.IssueKey) string {
	s := make([]string, len(keys))
	for i, k := range keys {
		s[i] = string(k)
	}
	return strings.Join(s, ", ")
}

// suggest fills Nearest for missing issues of projects that are not known.
func (v *Verdict) suggest(projects map[string]bool) {
	for _, k := range v.Missing {
		if projects[k.Project()] {
			continue
		}
		if near := nearestProject(k.Project(), projects); near != "" {
			if v.Nearest == nil {
				v.Nearest = map[ferry.IssueKey]string{}
			}
			v.Nearest[k] = near
		}
	}
}
