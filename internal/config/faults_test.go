package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitferry/internal/ferry"
)

// Each n.in of testdata/faults.txtar is a file, each n.out the words that
// Load answers; PATH stands for the file's path.
func TestFaults(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "faults.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		in := archive.Files[i]
		t.Run(strings.TrimSuffix(in.Name, ".in"), func(t *testing.T) {
			path := write(t, string(in.Data))
			_, err := Load(path, nil)
			if !errors.Is(err, ferry.ErrInvalid) {
				t.Fatalf("Load = %v, want ferry.ErrInvalid", err)
			}
			got := strings.ReplaceAll(err.Error(), path, "PATH") + "\n"
			if *update {
				archive.Files[i+1].Data = []byte(got)
			}
			if diff := cmp.Diff(string(archive.Files[i+1].Data), got); diff != "" {
				t.Errorf("faults differ (-want +got):\n%s", diff)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the faults show a secret:\n%s", got)
			}
		})
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "faults.txtar"), txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileIsBounded(t *testing.T) {
	if _, err := Load(write(t, strings.Repeat("#", maxFile+1)), nil); err == nil || !strings.Contains(err.Error(), "is larger than 1MiB") {
		t.Errorf("Load of a file of 1 MiB and a byte = %v", err)
	}
	if _, err := Load(write(t, strings.Repeat("#", maxFile)), nil); err != nil {
		t.Errorf("Load of a file of 1 MiB = %v", err)
	}
}

func TestMasterKey(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	c := Default()
	key, made, err := c.MasterKey()
	if err != nil || !made || len(key) != MasterKeySize {
		t.Fatalf("first MasterKey() = %d bytes, %v, %v", len(key), made, err)
	}
	again, made, err := c.MasterKey()
	if err != nil || made || string(again) != string(key) {
		t.Errorf("second MasterKey() gives another key, made %v, %v", made, err)
	}
	if info, err := os.Stat("master.key"); err != nil || info.Mode() != 0o400 {
		t.Errorf("master.key: %v, %v, want mode 0400", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".master*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}

	for name, story := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"open to others": {strings.Repeat("0", 64), 0o644, "may be read or changed by others (mode 0644)"},
		"too short":      {strings.Repeat("0", 62), 0o400, "does not hold 64 hexadecimal digits"},
		"no hex":         {strings.Repeat("z", 64), 0o400, "does not hold 64 hexadecimal digits"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(story.content), story.mode); err != nil {
			t.Fatal(err)
		}
		c.MasterKeyFile = path
		if _, _, err := c.MasterKey(); !errors.Is(err, ferry.ErrInvalid) || !strings.Contains(err.Error(), story.want) {
			t.Errorf("%s: MasterKey() = %v, want %q", name, err, story.want)
		}
	}
	c.MasterKeyFile = filepath.Join(c.DataDir, "key")
	if _, _, err := c.MasterKey(); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("MasterKey() inside the data directory = %v, want ferry.ErrInvalid", err)
	}
	c.MasterKeyFile = filepath.Join(dir, "none")
	if _, _, err := c.MasterKey(); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("MasterKey() of a missing named file = %v, want ferry.ErrNotFound", err)
	}
}

// The reader and the checks end without a panic, whatever the file holds.
func FuzzRead(f *testing.F) {
	f.Add(whole)
	f.Add("http: {listen: &a x, ssh: *a}")
	f.Add("- a\n- b")
	f.Add("users: [{name: !!binary x}]\n---\nb: 1")
	f.Fuzz(func(t *testing.T, text string) {
		c, found := Default(), faults{}
		c.sources = map[string]string{}
		r := reader{name: File, sources: c.sources, faults: &found}
		r.read([]byte(text), reflect.ValueOf(c).Elem(), "")
		c.check(&found)
	})
}
