package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/packscan"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// With gate.index: after (design decision D3) the scanner and the policy decide
// about a push, and git index-pack with fsck reads the pack after the upstream
// has taken it, before anything of it becomes readable. The pack lies in the
// quarantine as it came, not durably: what a power failure spoils is mended
// like a pack that is found wrong, from the upstream. Its commits and tags, which the policy needs, are
// stored beside it for git to list; they are thrown away with the quarantine.
// A pack that this cannot be done with, because it holds very many commits or
// a ref that points to something else, is indexed first as always.

// Names of files in a quarantine.
const (
	storedFile    = "pack"    // the pack as it came
	storedCommits = "commits" // an object directory with the commits and tags of it
)

// A storedPack is a pack that git has not read yet.
type storedPack struct {
	file    *os.File
	history packscan.History
	commits []ferry.OID // all of the pack; nil until they are stored
}

// storePack scans the pack into the quarantine and, once it is large, lets it
// flow to upstream at the same time.
func (p *push) storePack(client context.Context) error {
	f, err := os.OpenFile(p.q.File(storedFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("storing a pack: %w", diskFull(err))
	}
	p.stored = &storedPack{file: f}
	result, err := p.scan(client, diskWriter{f}, p.stored.history.Note)
	if p.unwatch != nil {
		defer p.unwatch()
	}
	if err != nil {
		return err
	}
	if _, err := (diskWriter{f}).Write(result.Trailer[:]); err != nil {
		return err
	}
	p.pack, p.scanned = result, p.s.now()
	return nil
}

// diskWriter says in words that the disk is full.
type diskWriter struct{ f *os.File }

func (w diskWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	return n, diskFull(err)
}

func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err, Text: git.DiskFull}
	}
	return err
}

// checkStored lists the new commits of a pack that is not indexed, and looks
// for others in it. Any error but the context's means that git has to index it
// first.
func (p *push) checkStored(ctx context.Context) error {
	if p.stored.commits == nil {
		if err := p.storeCommits(ctx); err != nil {
			return err
		}
	}
	reached, err := p.listCommits(ctx)
	if err != nil {
		return err
	}
	var loose []ferry.OID
	for _, o := range p.stored.commits {
		if !reached[o] {
			loose = append(loose, o)
		}
	}
	return p.refuseLoose(ctx, loose)
}

// storeCommits stores the commits and tags of the pack where git finds them.
func (p *push) storeCommits(ctx context.Context) error {
	kinds := map[packscan.ObjectType]string{packscan.Commit: "commit", packscan.Tag: "tag"}
	objects, open, err := p.stored.history.Objects(p.stored.file, func(t packscan.ObjectType, content []byte) (ferry.OID, error) {
		return git.ObjectID(kinds[t], content)
	})
	if err != nil {
		return err
	}
	there, err := p.s.Git.Kinds(ctx, p.q.Mirror(), "", open)
	if err != nil {
		return err
	}
	for _, kind := range there {
		if kind == "commit" || kind == "tag" {
			return packscan.ErrHistory
		}
	}
	if err := os.MkdirAll(p.q.File(storedCommits), 0o700); err != nil {
		return fmt.Errorf("storing commits: %w", err)
	}
	commits := []ferry.OID{}
	for _, o := range objects {
		if err := git.StoreObject(p.q.File(storedCommits), kinds[o.Type], o.OID, o.Content); err != nil {
			return err
		}
		if o.Type == packscan.Commit {
			commits = append(commits, o.OID)
		}
	}
	p.stored.commits = commits
	return nil
}

// indexStored indexes a stored pack before its release.
func (p *push) indexStored(ctx context.Context) error {
	f := p.stored.file
	name, err := p.s.Git.IndexPack(ctx, p.q.Mirror(), p.q.Objects(), io.NewSectionReader(f, 0, p.pack.Bytes+int64(len(p.pack.Trailer))), p.s.Limits.PackBytes)
	if err != nil {
		return err
	}
	f.Close()
	p.packName, p.stored = name, nil
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("removing an indexed pack: %w", err)
	}
	p.syncPacks()
	return nil
}

// indexTaken indexes the pack of a push that upstream has taken, if that was
// left for later. It fails with ferry.ErrInvalid if git finds it wrong. Doing
// it again after a crash changes nothing.
func (s *Server) indexTaken(ctx context.Context, repo ferry.Repository, q *mirror.Quarantine) error {
	f, err := os.Open(q.File(storedFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was indexed before its release
	}
	if err != nil {
		return fmt.Errorf("indexing a push to %s: %w", repo.Path(), err)
	}
	defer f.Close()
	if err := failpoint.Hit("push.unindexed"); err != nil {
		return err
	}
	if _, err := s.Git.IndexPack(ctx, q.Mirror(), q.Objects(), f, s.Limits.PackBytes); err != nil {
		return err
	}
	if err := git.SyncPacks(q.Objects()); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

// repair gives up a pack that upstream has taken and git refuses here: nothing
// of it becomes readable, and the mirror takes from upstream what upstream has
// made of it. If that is no better the repository stays as it was, and its
// looks tell why. The caller holds the apply lock.
func (s *Server) repair(ctx context.Context, repo ferry.Repository, row store.Push, q *mirror.Quarantine, why error) error {
	s.Log.Error("the upstream took a pack that is not sound here; reading the upstream instead", "repo", repo.Path(), "push", row.ID, "err", why)
	q.Remove()
	if err := s.Mirror.Distrust(ctx, repo, why); err != nil {
		return err
	}
	e := store.AuditEvent{Actor: "system", Action: "push.unsound", Object: repo.Path(), Result: "failed", Reason: firstLine(why.Error()),
		Detail: fmt.Sprintf("push %d was taken by the upstream; its pack is not kept, the mirror reads the upstream instead\n", row.ID)}
	if err := s.Store.Audit(ctx, e); err != nil {
		s.Log.Error("writing the audit of a push", "repo", repo.Path(), "push", row.ID, "err", err)
	}
	go func() { // ends with the look; it waits for the apply lock
		if _, err := s.Mirror.Refresh(ctx, repo, 0); err != nil {
			s.Log.Error("repairing a mirror from its upstream", "repo", repo.Path(), "push", row.ID, "err", err)
		}
	}()
	return nil
}
