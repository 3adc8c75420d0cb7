package store

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

const (
	benchCommits = 100_000
	benchChunk   = 1_000
	benchIssues  = 2_000
)

// history makes chunk n of a history: messages of a usual length, two of
// three commits name an issue, every commit has an entity.
func history(n int) ([]Commit, []Entity) {
	commits, entities := make([]Commit, benchChunk), []Entity(nil)
	for i := range commits {
		number := n*benchChunk + i
		c := testCommit("", time.Date(2020, 1, 1, 0, number, 0, 0, time.UTC))
		c.OID = sha1.Sum(binary.BigEndian.AppendUint64(nil, uint64(number)))
		c.Parents, c.Initial = c.Parents[:1], true
		c.Message = fmt.Sprintf("ui: change number %d\n\n%0300d\n", number, number)
		if number%3 != 0 {
			c.Links = []Link{{ferry.IssueKey(fmt.Sprintf("DEMO-%d", number%benchIssues+1)), "message"}}
			entities = append(entities, Entity{Kind: EntityCommit, EntityID: c.OID.String(), Keys: []ferry.IssueKey{c.Links[0].Key}, Backfill: true})
		}
		commits[i] = c
	}
	return commits, entities
}

// BenchmarkAddCommits writes chunks of 1,000 commits into a repository that
// holds ever more.
func BenchmarkAddCommits(b *testing.B) {
	s, _ := testStore(b)
	r := testRepository(b, s)
	n := 0
	for b.Loop() {
		b.StopTimer()
		commits, entities := history(n)
		n++
		b.StartTimer()
		must(s.AddCommits(b.Context(), r.ID, commits, entities))(b)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/chunk")
}

// BenchmarkIndexed measures what reads and applies on top of 100,000 commits.
func BenchmarkIndexed(b *testing.B) {
	s, _ := testStore(b)
	ctx := b.Context()
	r := testRepository(b, s)
	for n := range benchCommits / benchChunk {
		commits, entities := history(n)
		must(s.AddCommits(ctx, r.ID, commits, entities))(b)
	}
	b.Run("CommitsByKey", func(b *testing.B) {
		for b.Loop() {
			if list := must(s.CommitsByKey(ctx, "DEMO-2", Page{Limit: 30}))(b); len(list) != 30 {
				b.Fatalf("%d commits", len(list))
			}
		}
	})
	b.Run("LinkedCommits", func(b *testing.B) {
		for b.Loop() {
			must(s.LinkedCommits(ctx, r.ID, OnlyUnlinked, Page{Limit: 30}))(b)
		}
	})
	b.Run("KnownCommits", func(b *testing.B) {
		commits, _ := history(50)
		var oids []ferry.OID
		for _, c := range commits {
			oids = append(oids, c.OID)
		}
		for b.Loop() {
			must(s.KnownCommits(ctx, r.ID, oids))(b)
		}
	})
	b.Run("Counts", func(b *testing.B) {
		for b.Loop() {
			must(s.Counts(ctx))(b)
		}
	})
	b.Run("ClaimEntities", func(b *testing.B) {
		for b.Loop() {
			must(s.ClaimEntities(ctx, "boot", lease, 50))(b)
		}
	})
	b.Run("Apply", func(b *testing.B) { // a push of three commits with one command each
		old := ferry.OID{}
		n := 0
		for b.Loop() {
			n++
			c := Change{Repository: r.ID}
			for i := range 3 {
				word := fmt.Sprint("push ", n, " ", i)
				c.Commits = append(c.Commits, testCommit(word, time.Now(), "OPS-1"))
				c.Actions = append(c.Actions, testAction(word, "OPS-1"))
				c.Entities = append(c.Entities, commitEntity(word, "OPS-1"))
			}
			c.Updates = []ferry.RefUpdate{{Name: main, Old: old, New: c.Commits[2].OID}}
			old = c.Commits[2].OID
			must(s.Apply(ctx, c))(b)
		}
	})
	b.Run("ClaimActions", func(b *testing.B) { // of a long queue of one issue
		for b.Loop() {
			list := must(s.ClaimActions(ctx, "boot", lease, 50))(b)
			for _, a := range list {
				check(b, s.SaveAction(ctx, a.ID, ActionResult{State: ActionRetry}))
			}
		}
	})
}
