package codecommit

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	st := start(t)
	// Two roots, a merge, two tips beside the last commit, a removed file.
	history := `{"n":0,"parents":[],"when":1316245690,"tz":"-0700","author":"a1","message":"one","files":[["A","a b/\u00e4\"\\x"],["A","d"]]}
{"n":1,"parents":[0],"when":1316245691,"tz":"+0530","author":"a2","message":"two\n\nDEMO-1 body","files":[["D","d"],["D","never/there"]]}
{"n":2,"parents":[],"when":1316245692,"tz":"+0000","author":"a1","message":"root","files":[["A","r"]]}
{"n":3,"parents":[1,2],"when":1316245693,"tz":"+0000","author":"a1","message":"Merge","files":[]}
{"n":4,"parents":[1],"when":1316245600,"tz":"+0000","author":"a1","message":"side","files":[["M","a b/\u00e4\"\\x"]]}
{"n":5,"parents":[2],"when":1316245694,"tz":"+0000","author":"a1","message":"last","files":[["A","z"]]}
`
	n, err := st.s.Load(t.Context(), "us-west-2", "past", pack(t, history))
	if n != 6 || err != nil {
		t.Fatalf("Load = %d, %v", n, err)
	}
	dir := t.TempDir()
	st.mustGit(dir, "clone", "-q", st.remote("/v1/repos/past"), ".")
	got := st.mustGit(dir, "log", "--format=%D|%an|%ae|%ad|%s|%b", "--date=raw", "--topo-order", "--all")
	for _, want := range []string{"side-1|a1|a1@example.invalid|1316245693 +0000|Merge|", "|a2|a2@example.invalid|1316245691 +0530|two|DEMO-1 body", "side-2|a1", "|last|"} {
		if !strings.Contains(got, want) {
			t.Errorf("log lacks %q:\n%s", want, got)
		}
	}
	if n := st.mustGit(dir, "rev-list", "--count", "--all"); n != "6" {
		t.Errorf("%s commits, want 6", n)
	}
	if n := st.mustGit(dir, "rev-list", "--count", "--max-parents=0", "--all"); n != "2" {
		t.Errorf("%s roots, want 2", n)
	}
	if got, want := st.mustGit(dir, "-c", "core.quotePath=false", "ls-tree", "-r", "-z", "--name-only", "origin/side-2"), "a b/ä\"\\x\x00"; got != want {
		t.Errorf("files of side-2 = %q, want %q", got, want)
	}
	for _, bad := range []string{`{"n":1}`, `{"n":0,"parents":[0]}`, `{`} {
		if _, err := st.s.Load(t.Context(), "us-west-2", "bad", pack(t, bad)); err == nil {
			t.Errorf("Load(%q) succeeded", bad)
		}
	}
}

func pack(t *testing.T, text string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
