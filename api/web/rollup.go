package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A rollup adds up many commits.
type rollup struct {
	Commits     int
	First, Last *commitRow
	Repos       []rollupRepo
	FilesBy     [3]int // added, changed, deleted
	Sum         fileStat
	People      []rollupPerson
	Files       []fileStat
	MoreFiles   int
	NotCounted  int // commits too large to count
	Sort        string
}

type rollupRepo struct {
	Name, Href string
	Commits    int
	At         time.Time
}

type rollupPerson struct {
	store.Person
	Commits                 int
	Added, Changed, Removed int
}

// A rollupPart is what one repository adds.
type rollupPart struct {
	repo ferry.Repository
	name string
	rows []commitRow
}

func rollupParts(list []store.IndexedCommit, names map[ferry.RepositoryID]string) []rollupPart {
	var parts []rollupPart
	at := make(map[ferry.RepositoryID]int)
	for _, c := range list {
		i, ok := at[c.Repository.ID]
		if !ok {
			i = len(parts)
			at[c.Repository.ID] = i
			parts = append(parts, rollupPart{repo: c.Repository, name: names[c.Repository.ID]})
		}
		parts[i].rows = append(parts[i].rows, commitRowOf(c, ""))
	}
	return parts
}

// maxRollupFiles bounds the files listed.
const maxRollupFiles = 200

// rollup adds up the commits of parts. by orders the people: "name",
// "changed", "added" or "removed", else by all changes.
func (s *Server) rollup(ctx context.Context, parts []rollupPart, by string) (rollup, error) {
	out := rollup{Sort: by}
	people := make(map[string]*rollupPerson)
	files := make(map[string]*fileStat)
	for _, p := range parts {
		oids := make([]ferry.OID, len(p.rows))
		for i, row := range p.rows {
			oids[i] = row.OID
		}
		stats, err := s.fileStats(ctx, p.repo.ID, oids)
		if err != nil {
			return out, err
		}
		out.Repos = append(out.Repos, rollupRepo{p.name, repoPath(p.repo), len(p.rows), p.rows[0].At})
		for _, row := range p.rows {
			out.Commits++
			if out.First == nil || row.At.Before(out.First.At) {
				out.First = &row
			}
			if out.Last == nil || row.At.After(out.Last.At) {
				out.Last = &row
			}
			counted, ok := stats[row.OID]
			if !ok {
				out.NotCounted++
			}
			id := strings.ToLower(display(row.Author.Email, row.Author.Name))
			if people[id] == nil {
				people[id] = &rollupPerson{Person: row.Author}
			}
			people[id].Commits++
			for _, f := range counted {
				out.count(f, people[id], files, p, len(parts) > 1)
			}
		}
	}
	for _, p := range people {
		out.People = append(out.People, *p)
	}
	for _, f := range files {
		out.Files = append(out.Files, *f)
	}
	sortPeople(out.People, by)
	slices.SortFunc(out.Files, func(a, b fileStat) int { return cmp.Compare(a.Path, b.Path) })
	if n := len(out.Files); n > maxRollupFiles {
		out.Files, out.MoreFiles = out.Files[:maxRollupFiles], n-maxRollupFiles
	}
	return out, nil
}

func (out *rollup) count(f fileStat, p *rollupPerson, files map[string]*fileStat, part rollupPart, several bool) {
	name := f.Path
	if several {
		name = part.name + ": " + f.Path
	}
	p.Added, p.Changed, p.Removed = p.Added+f.Added, p.Changed+f.Changed, p.Removed+f.Removed
	out.Sum.Added, out.Sum.Changed, out.Sum.Removed = out.Sum.Added+f.Added, out.Sum.Changed+f.Changed, out.Sum.Removed+f.Removed
	switch f.Change {
	case "added":
		out.FilesBy[0]++
	case "deleted":
		out.FilesBy[2]++
	default:
		out.FilesBy[1]++
	}
	if files[name] == nil {
		files[name] = &fileStat{Path: name, Change: f.Change}
	}
	sum := files[name]
	sum.Added, sum.Changed, sum.Removed, sum.Binary = sum.Added+f.Added, sum.Changed+f.Changed, sum.Removed+f.Removed, sum.Binary || f.Binary
}

func sortPeople(list []rollupPerson, by string) {
	slices.SortFunc(list, func(a, b rollupPerson) int {
		c := 0
		switch by {
		case "name":
		case "added":
			c = b.Added - a.Added
		case "changed":
			c = b.Changed - a.Changed
		case "removed":
			c = b.Removed - a.Removed
		default:
			c = b.Added + b.Changed + b.Removed - a.Added - a.Changed - a.Removed
		}
		if c != 0 {
			return c
		}
		return cmp.Compare(a.Name+a.Email, b.Name+b.Email)
	})
}
