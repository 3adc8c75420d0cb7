package web

import (
	"cmp"
	"context"
	"path"
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
	Files       []rollupFile
	Groups      []rollupGroup // instead of Files where they are rolled up
	MoreFiles   int
	NotCounted  int // commits too large to count
	Choice      rollupChoice
}

// A rollupFile is what commits did to one file.
type rollupFile struct {
	fileStat
	Repo string
	Name string // path, with the repository where there are several
}

// A rollupGroup adds up files that have something in common.
type rollupGroup struct {
	Name  string
	Sum   fileStat
	Files []rollupFile
}

// A rollupChoice is how a roll-up is sorted and rolled up, as in its address.
type rollupChoice struct {
	Sort  string // of developers: "", "name", "added", "changed", "removed"
	Files string // order of files: "", "most", "added", "changed", "removed"
	By    string // "", "extension", "change", "extension-change", "change-extension", "repository"
	Keep  []formValue
}

// A formValue is a hidden field, which keeps the rest of an address.
type formValue struct{ Name, Value string }

// chosenRollup reads the choice from the address of a page.
func chosenRollup(r *request) rollupChoice {
	c := rollupChoice{Sort: r.QueryParam("sort"), Files: r.QueryParam("files"), By: r.QueryParam("by")}
	for _, name := range []string{"tab", "view"} {
		if v := r.QueryParam(name); v != "" {
			c.Keep = append(c.Keep, formValue{name, v})
		}
	}
	return c
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

// rollup adds up the commits of parts.
func (s *Server) rollup(ctx context.Context, parts []rollupPart, choice rollupChoice) (rollup, error) {
	out := rollup{Choice: choice}
	people := make(map[string]*rollupPerson)
	files := make(map[string]*rollupFile)
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
	sortPeople(out.People, choice.Sort)
	sortFiles(out.Files, choice.Files)
	if out.Groups = groupFiles(out.Files, choice); out.Groups != nil {
		out.Files = nil
	}
	if n := len(out.Files); n > maxRollupFiles {
		out.Files, out.MoreFiles = out.Files[:maxRollupFiles], n-maxRollupFiles
	}
	return out, nil
}

func (out *rollup) count(f fileStat, p *rollupPerson, files map[string]*rollupFile, part rollupPart, several bool) {
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
		files[name] = &rollupFile{fileStat: fileStat{Path: f.Path, Change: f.Change}, Repo: part.name, Name: name}
	}
	sum := &files[name].fileStat
	sum.Added, sum.Changed, sum.Removed, sum.Binary = sum.Added+f.Added, sum.Changed+f.Changed, sum.Removed+f.Removed, sum.Binary || f.Binary
}

// sortFiles orders files by path, or by the lines of one kind, the most first.
func sortFiles(list []rollupFile, by string) {
	slices.SortFunc(list, func(a, b rollupFile) int {
		if c := linesBy(b.fileStat, by) - linesBy(a.fileStat, by); c != 0 {
			return c
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

// linesBy is the number that an order looks at, 0 for the order by path.
func linesBy(f fileStat, by string) int {
	switch by {
	case "most":
		return f.Added + f.Changed + f.Removed
	case "added":
		return f.Added
	case "changed":
		return f.Changed
	case "removed":
		return f.Removed
	}
	return 0
}

// groupFiles rolls files up, nil if that is not wanted. Groups stand in the
// order of the files.
func groupFiles(list []rollupFile, choice rollupChoice) []rollupGroup {
	var name func(f rollupFile) string
	extension := func(f rollupFile) string { return display(path.Ext(f.Path), "no extension") }
	switch choice.By {
	case "extension":
		name = extension
	case "change":
		name = func(f rollupFile) string { return f.Change }
	case "extension-change":
		name = func(f rollupFile) string { return extension(f) + ", " + f.Change }
	case "change-extension":
		name = func(f rollupFile) string { return f.Change + ", " + extension(f) }
	case "repository":
		name = func(f rollupFile) string { return f.Repo }
	default:
		return nil
	}
	at := make(map[string]int)
	groups := []rollupGroup{}
	for _, f := range list {
		n := name(f)
		i, ok := at[n]
		if !ok {
			i = len(groups)
			at[n] = i
			groups = append(groups, rollupGroup{Name: n})
		}
		g := &groups[i]
		g.Files = append(g.Files, f)
		g.Sum.Added, g.Sum.Changed, g.Sum.Removed = g.Sum.Added+f.Added, g.Sum.Changed+f.Changed, g.Sum.Removed+f.Removed
	}
	slices.SortStableFunc(groups, func(a, b rollupGroup) int {
		if c := linesBy(b.Sum, choice.Files) - linesBy(a.Sum, choice.Files); c != 0 {
			return c
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for i := range groups {
		groups[i].Files = groups[i].Files[:min(len(groups[i].Files), maxRollupFiles)]
	}
	return groups[:min(len(groups), maxRollupFiles)]
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
