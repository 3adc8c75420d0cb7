package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestAddCommits(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	first := testCommit("a", c.t, "DEMO-1")
	first.Initial, first.Unknown = true, []ferry.IssueKey{"NEW-7", "DEMO-1"}
	entities := []Entity{{Kind: EntityCommit, EntityID: oid("a").String(), Keys: []ferry.IssueKey{"DEMO-1"}, Backfill: true}}
	for i, want := range []int{1, 0} {
		if got := must(s.AddCommits(ctx, r.ID, []Commit{first}, entities))(t); got != want {
			t.Errorf("time %d added %d commits, want %d", i+1, got, want)
		}
	}
	got := must(s.Candidates(ctx, "NEW", 0))(t)
	if diff := cmp.Diff([]Candidate{{r.ID, oid("a"), "NEW-7"}}, got); diff != "" {
		t.Errorf("candidates: %s", diff)
	}
	if got := must(s.Candidates(ctx, "DEMO", 0))(t); len(got) != 0 {
		t.Errorf("a link is a candidate too: %v", got)
	}
	// Jira learns the project: the candidate becomes a link, the rest stays.
	later := Commit{OID: oid("a"), Links: []Link{{"NEW-7", "message"}}}
	must(s.AddCommits(ctx, r.ID, []Commit{later}, nil))(t)
	if got := must(s.Candidates(ctx, "NEW", 0))(t); len(got) != 0 {
		t.Errorf("candidates are left: %v", got)
	}
	stored := must(s.CommitByOID(ctx, r.ID, oid("a")))(t)
	if !stored.Initial || stored.Message != "a" || len(stored.Links) != 2 {
		t.Errorf("stored %+v", stored)
	}
	keys := must(s.KeysOf(ctx, r.ID, []ferry.OID{oid("a"), oid("b")}))(t)
	if diff := cmp.Diff(map[ferry.OID][]ferry.IssueKey{oid("a"): {"DEMO-1", "NEW-7"}}, keys); diff != "" {
		t.Errorf("keys: %s", diff)
	}
	if n, k := must(s.CommitCount(ctx, r.ID))(t), must(s.KeyCount(ctx, r.ID))(t); n != 1 || k != 2 {
		t.Errorf("%d commits, %d keys", n, k)
	}
	_, err := s.AddCommits(ctx, 99, []Commit{first}, nil)
	wantErr(t, "no such repository", err, ferry.ErrNotFound)
}

func TestLongMessageIsCut(t *testing.T) {
	s, c := testStore(t)
	r := testRepository(t, s)
	long := testCommit("a", c.t)
	long.Message = strings.Repeat("x", MaxMessage-1) + "ü and more"
	exact := testCommit("b", c.t)
	exact.Message = strings.Repeat("x", MaxMessage)
	odd := testCommit("c", c.t)
	odd.Message = "nul \x00 and \xff"
	must(s.AddCommits(t.Context(), r.ID, []Commit{long, exact, odd}, nil))(t)
	for word, want := range map[string]string{"a": long.Message[:MaxMessage-1], "b": exact.Message, "c": odd.Message} {
		if got := must(s.CommitByOID(t.Context(), r.ID, oid(word)))(t); got.Message != want {
			t.Errorf("message of %s has %d bytes, want %d", word, len(got.Message), len(want))
		}
	}
}

func TestPagesOfCommits(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	var commits []Commit
	for i := range 25 {
		at := c.t.Add(time.Duration(i/3) * time.Minute) // several of one time
		if i%2 == 0 {
			commits = append(commits, testCommit(fmt.Sprint(i), at, "DEMO-1"))
		} else {
			commits = append(commits, testCommit(fmt.Sprint(i), at))
		}
	}
	must(s.AddCommits(ctx, r.ID, commits, nil))(t)
	for name, tt := range map[string]struct {
		read func(Page) ([]IndexedCommit, error)
		want int
	}{
		"of an issue": {func(p Page) ([]IndexedCommit, error) { return s.CommitsByKey(ctx, "DEMO-1", p) }, 13},
		"all":         {func(p Page) ([]IndexedCommit, error) { return s.LinkedCommits(ctx, r.ID, AllCommits, p) }, 25},
		"linked":      {func(p Page) ([]IndexedCommit, error) { return s.LinkedCommits(ctx, r.ID, OnlyLinked, p) }, 13},
		"unlinked":    {func(p Page) ([]IndexedCommit, error) { return s.LinkedCommits(ctx, r.ID, OnlyUnlinked, p) }, 12},
	} {
		seen := map[ferry.OID]bool{}
		page := Page{Limit: 4}
		last := c.t.Add(time.Hour)
		for {
			list := must(tt.read(page))(t)
			if len(list) == 0 {
				break
			}
			for _, commit := range list {
				if commit.CommittedAt.After(last) || seen[commit.OID] {
					t.Errorf("%s: %s out of order or twice", name, commit.Message)
				}
				last, seen[commit.OID] = commit.CommittedAt, true
			}
			page.Before = list[len(list)-1].Cursor
		}
		if len(seen) != tt.want {
			t.Errorf("%s: %d commits, want %d", name, len(seen), tt.want)
		}
		_, err := tt.read(Page{Before: "x"})
		wantErr(t, name+" from a foreign cursor", err, ferry.ErrInvalid)
	}
	if list := must(s.RecentCommits(ctx, 2))(t); len(list) != 2 || list[0].Message != "24" || list[1].Message != "23" {
		t.Errorf("recent commits %+v", list)
	}
	if n := len(must(s.RecentCommits(ctx, 5000))(t)); n != 25 {
		t.Errorf("%d recent commits for a limit beyond all", n)
	}
}

func TestKnownCommitsInManyChunks(t *testing.T) {
	s, c := testStore(t)
	r := testRepository(t, s)
	var ask []ferry.OID
	var commits []Commit
	for i := range 1203 {
		ask = append(ask, oid(fmt.Sprint(i)))
		if i%3 == 0 {
			commits = append(commits, testCommit(fmt.Sprint(i), c.t))
		}
	}
	must(s.AddCommits(t.Context(), r.ID, commits, nil))(t)
	if known := must(s.KnownCommits(t.Context(), r.ID, ask))(t); len(known) != len(commits) {
		t.Errorf("%d known, want %d", len(known), len(commits))
	}
	if known := must(s.KnownCommits(t.Context(), r.ID, nil))(t); len(known) != 0 {
		t.Errorf("%d known of none", len(known))
	}
}
