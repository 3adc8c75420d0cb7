package codecommit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gitferry/internal/git"
)

// A region is what one region of the account holds.
type region struct {
	name         string
	repositories map[string]*repository  // by name; guarded by Server.mu
	pulls        map[string]*pullRequest // by id; guarded by Server.mu
	lastPull     int                     // guarded by Server.mu
	topics       map[string]*topic       // by ARN; guarded by Server.mu
	comments     []*comment              // in the order they were made; guarded by Server.mu
}

// A repository is a bare git repository with CodeCommit's facts about it.
type repository struct {
	id     string
	region *region
	dir    string

	// moving is held while refs change and until the consequences are
	// recorded, so that changes have an order. It is taken before Server.mu.
	moving sync.Mutex

	name          string // guarded by Server.mu, as is everything below
	description   string
	defaultBranch string // short name; "" before the first push
	created       time.Time
	modified      time.Time
	triggers      []trigger
	triggersID    string // changes with each PutRepositoryTriggers
}

// errNoRepository says that a region has no repository of that name.
var errNoRepository = errors.New("no such repository")

var repositoryName = regexp.MustCompile(`^[\w.-]{1,100}$`)

// settings of every bare repository: what CodeCommit allows is allowed, and
// nothing runs by itself.
const settings = `

[receive]
	denyDeleteCurrent = ignore
	denyCurrentBranch = ignore
	denyNonFastForwards = false
	autogc = false
	advertisePushOptions = true
[uploadpack]
	allowTipSHA1InWant = true
	allowReachableSHA1InWant = true
	allowFilter = true
[gc]
	auto = 0
[repack]
	useDeltaBaseOffset = false
`

// inRegion returns the region of that name and makes it if it is new. The
// caller holds s.mu.
func (s *Server) inRegion(name string) *region {
	g := s.regions[name]
	if g == nil {
		g = &region{name: name, repositories: map[string]*repository{}, pulls: map[string]*pullRequest{}, topics: map[string]*topic{}}
		s.regions[name] = g
	}
	return g
}

// CreateRepository makes an empty repository. It fails if the region has one
// of that name or the name is not allowed.
func (s *Server) CreateRepository(_ context.Context, region, name, description string) error {
	_, err := s.createRepository(region, name, description)
	return err
}

// CreateRepositories makes empty repositories of all names, and writes the
// state down once. It stops at the first that cannot be made.
func (s *Server) CreateRepositories(region string, names []string) error {
	defer s.save()
	for _, name := range names {
		if _, err := s.makeRepository(region, name, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) createRepository(region, name, description string) (*repository, error) {
	r, err := s.makeRepository(region, name, description)
	if err == nil {
		s.save()
	}
	return r, err
}

func (s *Server) makeRepository(region, name, description string) (*repository, error) {
	if !repositoryName.MatchString(name) || strings.HasSuffix(name, ".git") {
		return nil, fail("InvalidRepositoryNameException", "The repository name %q is not valid. Repository names can be any valid combination of letters, numbers, periods, underscores, and dashes between 1 and 100 characters in length. Repository names cannot end in .git", name)
	}
	id := newUUID()
	dir := s.repositoryDir(id)
	now := s.cfg.Now()
	r := &repository{id: id, dir: dir, name: name, description: description, created: now, modified: now, triggersID: newUUID()}
	if err := git.Init(dir); err != nil {
		return nil, fmt.Errorf("making repository %s: %w", name, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "config"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("configuring repository %s: %w", name, err)
	}
	if _, err := f.WriteString(settings); err != nil {
		f.Close()
		return nil, fmt.Errorf("configuring repository %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("configuring repository %s: %w", name, err)
	}
	if !s.enterRepository(region, r) {
		os.RemoveAll(dir)
		return nil, fail("RepositoryNameExistsException", "Repository named %s already exists", name)
	}
	return r, nil
}

// enterRepository makes a new repository known, unless its name is taken.
func (s *Server) enterRepository(region string, r *repository) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.inRegion(region)
	if g.repositories[r.name] != nil {
		return false
	}
	r.region = g
	g.repositories[r.name] = r
	return true
}

// repositoryDir is where the bare repository with an id lies.
func (s *Server) repositoryDir(id string) string {
	return filepath.Join(s.cfg.Dir, "repositories", id)
}

// HasRepository reports whether a region has a repository of that name.
func (s *Server) HasRepository(region, name string) bool {
	return s.repository(region, name) != nil
}

// DeleteRepository removes a repository and its objects.
func (s *Server) DeleteRepository(region, name string) error {
	s.mu.Lock()
	g := s.inRegion(region)
	r := g.repositories[name]
	delete(g.repositories, name)
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s/%s: %w", region, name, errNoRepository)
	}
	s.save()
	r.moving.Lock()
	defer r.moving.Unlock()
	return os.RemoveAll(r.dir)
}

// RenameRepository gives a repository another name; its id stays.
func (s *Server) RenameRepository(region, from, to string) error {
	if err := s.rename(region, from, to); err != nil {
		return err
	}
	s.save()
	return nil
}

func (s *Server) rename(region, from, to string) error {
	if !repositoryName.MatchString(to) || strings.HasSuffix(to, ".git") {
		return fail("InvalidRepositoryNameException", "The repository name %q is not valid.", to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.inRegion(region)
	r := g.repositories[from]
	switch {
	case r == nil:
		return fmt.Errorf("%s/%s: %w", region, from, errNoRepository)
	case g.repositories[to] != nil:
		return fail("RepositoryNameExistsException", "Repository named %s already exists", to)
	}
	delete(g.repositories, from)
	g.repositories[to] = r
	r.name, r.modified = to, s.cfg.Now()
	for _, p := range g.pulls {
		if p.repository == r {
			p.repositoryName = to
		}
	}
	return nil
}

// repository finds a repository; nil if there is none.
func (s *Server) repository(region, name string) *repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.regions[region]; g != nil {
		return g.repositories[name]
	}
	return nil
}

// plainRegion finds the region of a path that names none: the only region
// that has the repository, else us-east-1.
func (s *Server) plainRegion(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := ""
	for region, g := range s.regions {
		if g.repositories[name] == nil {
			continue
		}
		if found != "" {
			return "us-east-1"
		}
		found = region
	}
	if found == "" {
		return "us-east-1"
	}
	return found
}

// knownRegions returns the regions that exist at AWS and those in use here.
func (s *Server) knownRegions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Concat(awsRegions, slices.Collect(maps.Keys(s.regions)))
	slices.Sort(list)
	return slices.Compact(list)
}

// awsRegions are the regions that a git password may be signed for.
var awsRegions = strings.Fields(`af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1

	ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ca-central-1 ca-west-1 cn-north-1 cn-northwest-1
	eu-central-1 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1
	me-south-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2`)

// matches is path.Match with a trailing "**" for any rest.
func matches(pattern, s string) bool {
	if head, ok := strings.CutSuffix(pattern, "**"); ok {
		return strings.HasPrefix(s, head)
	}
	ok, err := path.Match(pattern, s)
	return err == nil && ok
}
