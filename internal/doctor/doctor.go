// Package doctor finds out whether everything agrees: the refs at the
// upstream, in the mirror and in the books, and the deliveries.
//
// The idea is one way to see the truth: the command line and the API run the
// same comparison, which reads everything anew and repairs nothing.
package doctor

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// A Doctor compares. Fill the exported fields.
type Doctor struct {
	Store  *store.Store
	Mirror *mirror.Dir
	Dialer *upstream.Dialer
	Target func(context.Context, ferry.Repository) (upstream.Target, error)
}

// A Report is what a comparison found.
type Report struct {
	Consistent   bool         `json:"consistent"`
	Repositories []Repository `json:"repositories"`
	// Faults are those that belong to no repository.
	Faults []string `json:"faults"`
}

// Repository is what was found of one repository.
type Repository struct {
	Path   string   `json:"path"`
	Refs   int      `json:"refs"` // at the upstream
	Faults []string `json:"faults"`
}

// Deep compares upstream, mirror and books of every enabled repository, and
// looks for deliveries and pushes that are stuck. It fails only if the books
// cannot be read; an upstream that cannot be reached is a fault.
func (d *Doctor) Deep(ctx context.Context) (Report, error) {
	r := Report{Consistent: true, Repositories: []Repository{}, Faults: []string{}}
	repos, err := d.Store.Repositories(ctx, store.RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return r, err
	}
	for _, repo := range repos {
		found, err := d.repository(ctx, repo)
		if err != nil {
			return r, err
		}
		r.Consistent = r.Consistent && len(found.Faults) == 0
		r.Repositories = append(r.Repositories, found)
	}
	counts, err := d.Store.Counts(ctx)
	if err != nil {
		return r, err
	}
	for state, n := range map[string]int{
		"pushes whose outcome is not known":       counts.UnresolvedPushes,
		"commands that Jira refused for good":     counts.Actions[store.ActionDead],
		"development data refused for good":       counts.Entities[store.EntityDead],
		"commands whose outcome is being checked": counts.Actions[store.ActionVerify],
	} {
		if n > 0 {
			r.Faults = append(r.Faults, fmt.Sprintf("%d %s", n, state))
		}
	}
	sort.Strings(r.Faults)
	r.Consistent = r.Consistent && len(r.Faults) == 0
	return r, nil
}

// maxFaults bounds what is told of one repository.
const maxFaults = 20

func (d *Doctor) repository(ctx context.Context, repo ferry.Repository) (Repository, error) {
	out := Repository{Path: repo.Path(), Faults: []string{}}
	fault := func(format string, args ...any) {
		if len(out.Faults) < maxFaults {
			out.Faults = append(out.Faults, fmt.Sprintf(format, args...))
		}
	}
	indexed, err := d.Store.Refs(ctx, repo.ID)
	if err != nil {
		return out, err
	}
	mirrored, err := d.Mirror.Refs(ctx, repo)
	if err != nil {
		fault("the mirror cannot be read: %v", err)
		return out, nil
	}
	target, err := d.Target(ctx, repo)
	if err != nil {
		fault("the upstream is not usable: %v", err)
		return out, nil
	}
	adv, err := d.Dialer.Look(ctx, target)
	if err != nil {
		fault("the upstream cannot be read: %v", err)
		return out, nil
	}
	theirs := make(map[ferry.RefName]ferry.OID)
	for _, r := range adv.Refs {
		if name := ferry.RefName(r.Name); mirror.Mirrored(r.Name) {
			theirs[name] = r.OID
		}
	}
	out.Refs = len(theirs)
	compare(fault, "mirror", mirrored, theirs)
	compare(fault, "index", indexed, theirs)
	sort.Strings(out.Faults)
	return out, nil
}

// compare reports where refs of one place differ from upstream's.
func compare(fault func(string, ...any), place string, have, theirs map[ferry.RefName]ferry.OID) {
	names := make(map[ferry.RefName]bool)
	for n := range have {
		names[n] = true
	}
	for n := range theirs {
		names[n] = true
	}
	for n := range names {
		if have[n] != theirs[n] {
			fault("%s: %s has %s, upstream has %s", place, n, short(have[n]), short(theirs[n]))
		}
	}
}

func short(o ferry.OID) string {
	if o.IsZero() {
		return "nothing"
	}
	return o.Short()
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	for _, repo := range r.Repositories {
		state := "ok"
		if len(repo.Faults) > 0 {
			state = "differs"
		}
		fmt.Fprintf(&b, "%s: %s (%d refs)\n", repo.Path, state, repo.Refs)
		for _, f := range repo.Faults {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "%s\n", f)
	}
	if r.Consistent {
		b.WriteString("upstream, mirrors, index and deliveries agree\n")
	}
	return b.String()
}
