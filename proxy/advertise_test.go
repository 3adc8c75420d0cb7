package proxy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/pktline"
	"gitferry/mirror"
)

// Advertisements and ref listings are made in-process; they are, byte for
// byte, what git itself says of the same mirror.
func TestAdvertisementsAreGits(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	requests := []string{
		request2(), request2("peel"), request2("symrefs"), request2("peel", "symrefs", "unborn"),
		request2("peel", "symrefs", "unborn", "ref-prefix refs/heads/", "ref-prefix refs/tags/", "ref-prefix HEAD"),
		request2("symrefs", "ref-prefix refs/heads/ma"), request2("unborn", "ref-prefix refs/heads/"), request2("peel", "ref-prefix refs/none"),
	}
	for name, fill := range map[string]func(r *gittest.Repo){
		"empty": func(*gittest.Repo) {},
		"one branch": func(r *gittest.Repo) {
			r.Run("update-ref", "refs/heads/main", one(r))
		},
		"HEAD of a branch that is not there": func(r *gittest.Repo) {
			r.Run("update-ref", "refs/heads/other", one(r))
		},
		"HEAD elsewhere": func(r *gittest.Repo) {
			r.Run("update-ref", "refs/heads/develop", one(r))
			r.Run("symbolic-ref", "HEAD", "refs/heads/develop")
		},
		"annotated tags, tags of tags, trees and blobs": func(r *gittest.Repo) {
			r.Run("update-ref", "refs/heads/main", one(r))
			r.Run("tag", "-a", "-m", "v", "v1", "main")
			r.Run("tag", "-a", "-m", "v", "v2", "v1")
			r.Run("tag", "light", "main")
			r.Run("tag", "-a", "-m", "v", "tree", "main^{tree}")
			r.Run("tag", "blob", r.Input("x", "hash-object", "-w", "--stdin"))
		},
		"names of every kind": func(r *gittest.Repo) {
			for _, n := range []string{"refs/heads/main", "refs/heads/a", "refs/heads/a.b", "refs/heads/a-b", "refs/heads/a_b/c", "refs/heads/é", "refs/notes/commits", "refs/pull/1/head", "refs/gitferry/x"} {
				r.Run("update-ref", n, one(r))
			}
		},
		"10,000 refs": func(r *gittest.Repo) {
			var b strings.Builder
			oid := one(r)
			for i := range 10_000 {
				fmt.Fprintf(&b, "%s refs/heads/b/%05d\n", oid, i)
			}
			if err := os.WriteFile(filepath.Join(r.Dir, "packed-refs"), []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			d := &mirror.Dir{Root: root, Git: g}
			dir := d.Path(1)
			if err := git.Init(dir); err != nil {
				t.Fatal(err)
			}
			fill(gittest.At(t, dir))
			if err := os.WriteFile(filepath.Join(dir, "gitferry-copied"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s := &Server{Mirror: d, Git: g, Scratch: t.TempDir()}
			view, err := d.View(t.Context(), ferry.Repository{ID: 1})
			if err != nil {
				t.Fatal(err)
			}
			for version := range 2 {
				protocol := []string{"", "version=1"}[version]
				var got bytes.Buffer
				if err := s.advertise(t.Context(), &got, view, version); err != nil {
					t.Fatal(err)
				}
				want, err := g.Output(t.Context(), git.Command{Dir: dir, Args: []string{"upload-pack", "--strict", "--stateless-rpc", "--advertise-refs", dir},
					Protocol: protocol, Config: mirror.UploadPackConfig(protocol)})
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("advertisement of version %d", version), got.Bytes(), want)
			}
			for _, raw := range requests {
				q, err := readRequest(pktline.NewReader(strings.NewReader(raw)))
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := lsRefs(&got, q, view); err != nil {
					t.Fatal(err)
				}
				want, err := g.Output(t.Context(), git.Command{Dir: dir, Args: []string{"upload-pack", "--strict", "--stateless-rpc", dir},
					Protocol: "version=2", Stdin: strings.NewReader(raw)})
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("ls-refs %q", q.args), got.Bytes(), want)
			}
		})
	}
}

// one makes the same commit each time.
func one(r *gittest.Repo) string {
	tree := r.Input("", "mktree")
	r.Now = gittest.Start
	return r.Input("one", "commit-tree", tree)
}

// request2 is an ls-refs request of protocol 2.
func request2(args ...string) string { return command2("ls-refs", args...) }

// fetch2 is a fetch request of protocol 2.
func fetch2(args ...string) string { return command2("fetch", args...) }

func command2(command string, args ...string) string {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	_ = w.Printf("command=%s\n", command)
	_ = w.Delim()
	for _, a := range args {
		_ = w.Printf("%s\n", a)
	}
	_ = w.Flush()
	return b.String()
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		from := max(0, at-60)
		t.Errorf("%s: differs at byte %d of %d and %d\n got …%q\nwant …%q", what, at, len(got), len(want),
			got[from:min(len(got), at+60)], want[from:min(len(want), at+60)])
	}
}
