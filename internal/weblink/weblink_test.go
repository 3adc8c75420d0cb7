package weblink

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

const rev, parent = "3e3fa2d47cea0aeed27b5ac9c03d540852fe152f", "7d1b31e74ee336d15cbd21741bc88a537ed063a0"

// Values are escaped as parts of what they stand in, and no value can move the
// address to another host.
func TestLinks(t *testing.T) {
	l := Templates{Changeset: "https://h/c/${rev}", Added: "https://h/a/${rev}/${path}?n=${num}", Modified: "https://h/m/${parent}..${rev}/${sha1path}/${md5}",
		Deleted: "https://h/d/${parent_blob}/${path}", Branch: `https://h/b/$convert(${branch},"/","~")?x=${branchname}`, Tag: "https://h/t/${tagname}", Merge: "https://h/p/${mergereqId}"}
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	links := l.Links()
	for got, want := range map[string]string{
		links.Commit(rev):         "https://h/c/" + rev,
		links.Branch("a/b c&d=e"): "https://h/b/a~b%20c%26d%3De?x=a/b%20c%26d%3De",
		links.Tag("../../evil?#"): "https://h/t/../../evil%3F%23",
		links.PullRequest("7"):    "https://h/p/7",
		links.File(File{Commit: rev, Path: "d/ü.txt", Num: 2, Change: 'A'}): "https://h/a/" + rev + "/d/%C3%BC.txt?n=2",
		links.File(File{Commit: rev, Parent: parent, Path: "a"}):            "https://h/m/" + parent + ".." + rev + "/86f7e437faa5a7fce15d1ddcb9eaeaea377667b8/0cc175b9c0f1b6a831c399e269772661",
		links.File(File{ParentBlob: "b1", Path: "a", Change: 'D'}):          "https://h/d/b1/a",
		links.Repository() + Templates{}.Links().Commit(rev):                "",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"https://github.com/<owner>/x", "between < and >"},
		{"https://h/${revision}", "no placeholder ${revision}"},
		{"javascript:alert(1)//${rev}", "https://HOST"},
		{"//h/${rev}", "https://HOST"},
		{"https://${branch}/x", "host cannot be"},
		{"https://${branch}.example.com/x", "host cannot be"},
		{"https://user:secret@h/${rev}", "https://HOST"},
		{"https://h/" + strings.Repeat("x", maxTemplate), "longer than"},
	} {
		err := Templates{Tag: c.template}.Check()
		if !errors.Is(err, ferry.ErrInvalid) || !strings.Contains(err.Error(), "Tag Format: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.template, err, c.want)
		}
	}
	if _, err := Parse(`{"branch":"https://h/${branch}","more":1}`); err == nil {
		t.Error("an unknown member passed")
	}
	in := Templates{Branch: "https://h/${branch}"}
	if got, err := Parse(in.String()); err != nil || got != in {
		t.Errorf("Parse(%s) = %+v, %v", in, got, err)
	}
	if got, err := Parse(Templates{}.String()); err != nil || got != (Templates{}) {
		t.Errorf("Parse of nothing = %+v, %v", got, err)
	}
}

// A provider's templates are good once the marks are replaced, and not before.
func TestProviders(t *testing.T) {
	mark := regexp.MustCompile(`<[a-z]+>`)
	for _, p := range Providers() {
		made := p.Templates
		for _, f := range made.Fields() {
			if *f.Value != "" && (Templates{View: *f.Value}).Check() == nil {
				t.Errorf("%s: %s has nothing to replace", p.Name, f.Name)
			}
			*f.Value = mark.ReplaceAllString(*f.Value, "example")
		}
		if err := made.Check(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, got := range []string{made.Links().Commit(rev), made.Links().Branch("a/b"), made.Links().Tag("v1"), made.Links().File(File{Commit: rev, Parent: parent, Path: "a/b"})} {
			if u, err := url.Parse(got); err != nil || u.Host == "" || strings.Contains(got, "${") {
				t.Errorf("%s makes %s", p.Name, got)
			}
		}
	}
}
