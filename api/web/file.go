package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

type fileView struct {
	page
	repoHead
	Path   string
	Crumbs []crumb
	Lines  [][]span
	Size   int64
	Image  bool
	Binary bool
	Cut    bool // only the first part is shown
	LFS    string
	Latest *commitRow
}

// file shows a file.
func (s *Server) file(r *request) error {
	h, rest, err := s.repoRest(r, "files")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	at, name, err := s.split(ctx, &h, rest)
	if err != nil {
		return err
	}
	h.At = at
	b, err := s.Git.Blob(ctx, s.Mirror.Path(h.Repo.ID), at.OID, name, maxFile)
	if errors.Is(err, ferry.ErrNotFound) {
		if _, _, err := s.Git.Tree(ctx, s.Mirror.Path(h.Repo.ID), at.OID, name, 1); err == nil {
			return r.Redirect(http.StatusSeeOther, h.Base+"/tree/"+escapePath(at.Name+"/"+name))
		}
	}
	if err != nil {
		return notCopied(err)
	}
	v := fileView{page: s.page(r, name+" · "+h.Name, "repos"), repoHead: h, Path: name, Crumbs: crumbs(h, at, name), Size: b.Size, Cut: b.Truncated}
	switch {
	case imageType(b.Data) != "" && !b.Truncated:
		v.Image = true
	case bytes.IndexByte(b.Data[:min(len(b.Data), 8000)], 0) >= 0:
		v.Binary = true
	default:
		source := strings.ToValidUTF8(string(b.Data), string(utf8.RuneError))
		if b.Truncated {
			source = source[:strings.LastIndexByte(source, '\n')+1]
		}
		v.LFS = lfsPointer(source)
		v.Lines = colour(name, source, time.Now().Add(colouringTime))
	}
	if v.Latest, err = s.latest(ctx, h, at, name); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "file", &v)
}

// lfsPointer describes the object that a Git LFS pointer stands for, "" if
// text is none (git-lfs specification, "The Pointer").
func lfsPointer(text string) string {
	if len(text) > 1024 || !strings.HasPrefix(text, "version https://git-lfs.github.com/spec/v1\n") {
		return ""
	}
	var oid string
	var size int64
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "oid "); ok {
			oid = strings.TrimSpace(v)
		}
		_, _ = fmt.Sscanf(line, "size %d", &size) // other lines do not match
	}
	if oid == "" {
		return ""
	}
	return oid + ", " + bytesText(size)
}

// imageType returns the type of an image that may be shown in the page, by
// its bytes, "" for everything else.
func imageType(b []byte) string {
	switch t := http.DetectContentType(b); t {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return t
	}
	return ""
}

// maxRaw bounds a raw download, in bytes.
const maxRaw = 64 << 20

// raw serves a file as it is, in a way that no browser runs (security.md, UI-4).
func (s *Server) raw(r *request) error {
	h, rest, err := s.repoRest(r, "files")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), time.Minute)
	defer cancel()
	at, name, err := s.split(ctx, &h, rest)
	if err != nil {
		return err
	}
	b, err := s.Git.Blob(ctx, s.Mirror.Path(h.Repo.ID), at.OID, name, maxRaw)
	if err != nil {
		return notCopied(err)
	}
	if b.Truncated {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "The file is larger than " + bytesText(maxRaw) + ". Clone the repository to read it."}
	}
	head := r.Response().Header()
	head.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	kind := imageType(b.Data)
	switch {
	case kind != "":
	case bytes.IndexByte(b.Data, 0) < 0 && utf8.Valid(b.Data) && !r.ticked("download"):
		kind = "text/plain; charset=utf-8"
	default:
		kind = "application/octet-stream"
		head.Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(path.Base(name)))
	}
	head.Set("Content-Type", kind)
	r.Response().WriteHeader(http.StatusOK)
	_, err = r.Response().Write(b.Data)
	return gone(err)
}
