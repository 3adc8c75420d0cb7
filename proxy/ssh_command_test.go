package proxy

import (
	"errors"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

func TestParseGitCommand(t *testing.T) {
	for in, want := range map[string]GitCommand{
		"git-upload-pack 'us-west-2/demo.git'":               {"git-upload-pack", "us-west-2/demo"},
		"git-upload-pack '/us-west-2/demo'":                  {"git-upload-pack", "us-west-2/demo"},
		"git-receive-pack us-west-2/demo":                    {"git-receive-pack", "us-west-2/demo"},
		"git upload-pack 'a/b'":                              {"git-upload-pack", "a/b"},
		"git receive-pack '/a/b.git'":                        {"git-receive-pack", "a/b"},
		"git-upload-pack '/v1/repos/My_Repo-1.x'":            {"git-upload-pack", "v1/repos/My_Repo-1.x"},
		"git-upload-pack '/us-east-1/v1/repos/demo'":         {"git-upload-pack", "us-east-1/v1/repos/demo"},
		"git-upload-pack '" + strings.Repeat("a", 100) + "'": {"git-upload-pack", strings.Repeat("a", 100)},
	} {
		if got, err := ParseGitCommand(in); err != nil || got != want {
			t.Errorf("ParseGitCommand(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"",
		"git-upload-pack",
		"git-upload-pack ",
		"git-upload-pack ''",
		"git-upload-pack '/'",
		"git-upload-pack '.git'",
		"git-upload-pack 'a/b",
		"git-upload-pack a/b'",
		"git-upload-pack 'a/b' x",
		"git-upload-pack 'a/b'; id",
		"git-upload-pack  'a/b'",
		" git-upload-pack 'a/b'",
		"git-upload-pack 'a'/'b'",
		"git-upload-pack \"a/b\"",
		"git-upload-pack 'a/b\n'",
		"git-upload-pack 'a/b'\n",
		"git-upload-pack 'a/b\x00'",
		"git-upload-pack 'a\\b'",
		"git-upload-pack '$HOME/b'",
		"git-upload-pack '`id`/b'",
		"git-upload-pack '../b'",
		"git-upload-pack 'a/../b'",
		"git-upload-pack 'a/./b'",
		"git-upload-pack 'a//b'",
		"git-upload-pack '//a/b'",
		"git-upload-pack 'a/b/'",
		"git-upload-pack '~/b'",
		"git-upload-pack '-x/b'",
		"git-upload-pack '--upload-pack=x'",
		"git-upload-pack 'a/b.git.git'",
		"git-upload-pack 'a/b/c/d/e'",
		"git-upload-pack 'a/ü'",
		"git-upload-pack '" + strings.Repeat("a/", 250) + "bbb'",
		"git-upload-archive 'a/b'",
		"git-lfs-authenticate a/b download",
		"git -c core.sshCommand=id upload-pack 'a/b'",
		"GIT-UPLOAD-PACK 'a/b'",
		"sh",
	} {
		if got, err := ParseGitCommand(in); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("ParseGitCommand(%q) = %+v, %v, want ErrInvalid", in, got, err)
		}
	}
	long := "git-upload-pack " + strings.Repeat("a", 80) + strings.Repeat("/"+strings.Repeat("a", 99), 3)
	if _, err := ParseGitCommand(long); err != nil {
		t.Errorf("%d bytes: %v", len(long), err)
	}
}

func TestGitProtocolValues(t *testing.T) {
	for value, want := range map[string]bool{
		"version=2": true, "version=0": true, "version=1:object-format=sha1": true,
		"version=3": false, "": false, "version=2\n": false, "version=2:": false,
		"version=2:a:b:c:d:e": false, "version=2;id": false, "x:version=2": false,
	} {
		if got := gitProtocol.MatchString(value); got != want {
			t.Errorf("GIT_PROTOCOL %q: %t, want %t", value, got, want)
		}
	}
}

// FuzzParseGitCommand: what is accepted is canonical, stays below the root,
// and gives the same again.
func FuzzParseGitCommand(f *testing.F) {
	f.Add("git-upload-pack '/us-west-2/demo.git'")
	f.Add("git receive-pack v1/repos/x")
	f.Add("git-upload-pack 'a/../b'")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := ParseGitCommand(in)
		if err != nil {
			if !errors.Is(err, ferry.ErrInvalid) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if c.Service != "git-upload-pack" && c.Service != "git-receive-pack" {
			t.Fatalf("%q: service %q", in, c.Service)
		}
		if len(in) > maxCommand || strings.ContainsAny(in, "\x00\r\n\\$`\"") {
			t.Fatalf("%q accepted", in)
		}
		for name := range strings.SplitSeq(c.Path, "/") {
			if _, err := ferry.ParseRepositoryName(name); err != nil {
				t.Fatalf("%q: path %q: %v", in, c.Path, err)
			}
		}
		for _, again := range []string{c.Service + " '" + c.Path + "'", c.Service + " '/" + c.Path + ".git'"} {
			if len(again) > maxCommand {
				continue
			}
			if d, err := ParseGitCommand(again); err != nil || d != c {
				t.Fatalf("%q gives %+v, then %q gives %+v, %v", in, c, again, d, err)
			}
		}
	})
}
