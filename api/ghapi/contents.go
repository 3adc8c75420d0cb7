package ghapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"path"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
)

const (
	maxEntries = 1000      // of a directory
	maxInline  = 1 << 20   // bytes of a file that JSON carries
	maxBlob    = 8 << 20   // bytes of a file that is sent at all
	maxLookup  = 1_000_000 // entries of a directory searched for a name
)

// contents shows a file or a directory.
func (s *Server) contents(c *call) (any, error) {
	at, err := s.resolve(c, c.query("ref"))
	if err != nil {
		if errors.Is(err, errEmpty) {
			return nil, problem(http.StatusNotFound, "This repository is empty.")
		}
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	name, err := git.ParsePath(strings.Trim(c.wildcard(), "/"))
	if err != nil {
		return nil, ferry.ErrNotFound
	}
	if name == "" {
		return s.directory(c, at, "")
	}
	e, err := s.entry(c, at, name)
	if err != nil {
		return nil, err
	}
	if e.Kind == "tree" {
		return s.directory(c, at, name)
	}
	return s.file(c, at, name, e)
}

// entry finds a path in a commit.
func (s *Server) entry(c *call, at ferry.OID, name string) (git.TreeEntry, error) {
	parent := path.Dir(name)
	if parent == "." {
		parent = ""
	}
	all, _, err := s.Git.Tree(c.ctx, s.dir(c), at, parent, maxLookup)
	if err != nil {
		return git.TreeEntry{}, err
	}
	for _, e := range all {
		if e.Name == path.Base(name) {
			return e, nil
		}
	}
	return git.TreeEntry{}, ferry.ErrNotFound
}

func (s *Server) directory(c *call, at ferry.OID, name string) (any, error) {
	all, _, err := s.Git.Tree(c.ctx, s.dir(c), at, name, maxEntries)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, e := range all {
		list = append(list, s.showEntry(c, at, path.Join(name, e.Name), e, false))
	}
	if c.format != "object" {
		return list, nil
	}
	o := s.showEntry(c, at, name, git.TreeEntry{Name: path.Base(name), Kind: "tree", Size: -1}, false)
	o["entries"] = list
	return o, nil
}

// showEntry writes what contents says of any path. alone makes a symbolic
// link or a submodule show as one; in lists submodules are files.
func (s *Server) showEntry(c *call, at ferry.OID, name string, e git.TreeEntry, alone bool) object {
	ref := c.query("ref")
	if ref == "" {
		ref = at.String()
	}
	escaped := ghshape.EscapePath(name)
	api, blob := s.shape.Repo(c.repo)+"/contents/"+escaped+"?ref="+ghshape.EscapePath(ref), s.shape.Repo(c.repo)+"/git/blobs/"+e.OID.String()
	html := s.shape.Page(c.repo) + "/blob/" + ghshape.EscapePath(ref) + "/" + escaped
	var download any = s.shape.Page(c.repo) + "/raw/" + ghshape.EscapePath(ref) + "/" + escaped
	kind := "file"
	switch {
	case e.Kind == "tree":
		kind, download = "dir", nil
		blob, html = s.shape.Repo(c.repo)+"/git/trees/"+e.OID.String(), s.shape.Page(c.repo)+"/tree/"+ghshape.EscapePath(ref)+"/"+escaped
	case e.Kind == "commit":
		download, blob = nil, s.shape.Repo(c.repo)+"/git/trees/"+e.OID.String()
		if alone {
			kind = "submodule"
		}
	case e.Mode == "120000":
		kind = "symlink"
	}
	return object{"type": kind, "size": max(e.Size, 0), "name": path.Base(name), "path": name, "sha": e.OID.String(), "url": api, "git_url": blob,
		"html_url": html, "download_url": download, "_links": object{"self": api, "git": blob, "html": html}}
}

// file shows one file with its content.
func (s *Server) file(c *call, at ferry.OID, name string, e git.TreeEntry) (any, error) {
	o := s.showEntry(c, at, name, e, true)
	if e.Kind == "commit" {
		o["submodule_git_url"] = ""
		return o, nil
	}
	if e.Size > maxBlob {
		return nil, problem(http.StatusForbidden, "This file is too large for the API; clone the repository.")
	}
	b, err := s.Git.Blob(c.ctx, s.dir(c), at, name, maxBlob)
	if err != nil {
		return nil, err
	}
	if c.format == "raw" {
		return text{kind: "application/vnd.github.raw; charset=utf-8", body: b.Data, format: "raw"}, nil
	}
	if e.Mode == "120000" {
		o["target"] = strings.ToValidUTF8(string(b.Data), "\uFFFD")
		return o, nil
	}
	if b.Size > maxInline {
		if c.format != "object" {
			return nil, problem(http.StatusForbidden, "This file is larger than 1 MB; ask for it with the media type application/vnd.github.raw+json.")
		}
		o["content"], o["encoding"] = "", "none"
		return o, nil
	}
	o["content"], o["encoding"] = inLines(b.Data), "base64"
	return o, nil
}

// inLines is base64 with a line break every 60 characters.
func inLines(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var out strings.Builder
	for len(text) > 0 {
		n := min(60, len(text))
		out.WriteString(text[:n])
		out.WriteByte('\n')
		text = text[n:]
	}
	return out.String()
}

// readme finds the file that introduces a directory: at the root, in .github
// or in docs, or in the directory that the path names.
func (s *Server) readme(c *call) (any, error) {
	at, err := s.resolve(c, c.query("ref"))
	if err != nil {
		if errors.Is(err, errEmpty) {
			err = ferry.ErrNotFound
		}
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	dirs := []string{"", ".github", "docs"}
	if d := strings.Trim(c.wildcard(), "/"); d != "" {
		dirs = []string{d}
	}
	for _, dir := range dirs {
		all, _, err := s.Git.Tree(c.ctx, s.dir(c), at, dir, maxLookup)
		if errors.Is(err, ferry.ErrNotFound) || errors.Is(err, ferry.ErrInvalid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			base := strings.ToLower(e.Name)
			if e.Kind == "blob" && e.Mode != "120000" && (base == "readme" || strings.HasPrefix(base, "readme.")) {
				return s.file(c, at, path.Join(dir, e.Name), e)
			}
		}
	}
	return nil, ferry.ErrNotFound
}

func (s *Server) languages(*call) (any, error) { return object{}, nil }

// noArchive says that there are no archives (security.md, GIT-2): what an
// export leaves out or puts in would be the repository's to say.
func (s *Server) noArchive(*call) (any, error) {
	return nil, problem(http.StatusNotImplemented, "This server makes no archives; clone the repository, with --depth 1 for its files alone.")
}
