package importtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "gitferry"

// A file is what the rules need to know of one Go file.
type file struct {
	name    string // slash-separated, from the root of the module
	imports []string
	exits   []string // "os.Exit", …, in the order found
}

func (f file) pkg() string  { return path.Dir(f.name) }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func TestImports(t *testing.T) {
	files := parseModule(t, filepath.Join("..", ".."))
	if len(files) < 20 {
		t.Fatalf("found only %d Go files; is this the root of the module?", len(files))
	}
	for _, fault := range faults(files) {
		t.Error(fault)
	}
}

// The rules themselves, on invented files.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		about string
		file  file
		want  []string
	}{
		{"an arrow down", file{name: "mirror/a.go", imports: []string{"gitferry/internal/git", "fmt", "github.com/google/go-cmp/cmp"}}, nil},
		{"an arrow up", file{name: "internal/git/a.go", imports: []string{"gitferry/mirror"}},
			[]string{"internal/git/a.go: internal/git may not import mirror (see table_test.go)"}},
		{"a stand-in with a client", file{name: "internal/sandbox/jira/a_test.go", imports: []string{"gitferry/internal/jira"}},
			[]string{"internal/sandbox/jira/a_test.go: internal/sandbox/jira may not import internal/jira (see table_test.go)"}},
		{"a client tested against its stand-in", file{name: "internal/jira/a_test.go", imports: []string{"gitferry/internal/sandbox/jira", "gitferry/internal/jira"}}, nil},
		{"a package out of the table", file{name: "internal/helper/a.go"},
			[]string{"internal/helper/a.go: package internal/helper is missing from the table in table_test.go"}},
		{"test code in the product", file{name: "cmd/gitferry/a.go", imports: []string{"gitferry/internal/gittest"}},
			[]string{"cmd/gitferry/a.go: internal/gittest is for tests only"}},
		{"a second door", file{name: "mirror/a.go", imports: []string{"os/exec"}},
			[]string{"mirror/a.go: os/exec may be imported only by internal/git"}},
		{"the same in a test", file{name: "mirror/a_test.go", imports: []string{"os/exec"}}, nil},
		{"a package below a door", file{name: "api/a.go", imports: []string{"github.com/aws/aws-sdk-go-v2/service/sns"}},
			[]string{"api/a.go: github.com/aws/aws-sdk-go-v2/service/sns may be imported only by internal/codecommit"}},
		{"another name that begins alike", file{name: "proxy/a.go", imports: []string{"database/sqlite"}}, nil},
		{"a door for nobody", file{name: "proxy/a.go", imports: []string{"testing"}},
			[]string{"proxy/a.go: testing may be imported only by tests"}},
		{"an exit", file{name: "proxy/a.go", exits: []string{"os.Exit"}},
			[]string{"proxy/a.go: os.Exit ends the process, which only cmd may"}},
		{"an exit in cmd", file{name: "cmd/gitferry/main.go", exits: []string{"os.Exit"}}, nil},
		{"an exit in a test", file{name: "proxy/a_test.go", exits: []string{"os.Exit"}}, nil},
	} {
		if diff := cmp.Diff(c.want, faults([]file{c.file})); diff != "" {
			t.Errorf("%s: faults differ (-want +got):\n%s", c.about, diff)
		}
	}
}

// A table entry may name only packages that stand in the table.
func TestTableIsClosed(t *testing.T) {
	for pkg, imports := range allowed {
		for _, name := range imports {
			if _, ok := allowed[name]; !ok && name != anything {
				t.Errorf("%s may import %s, which is missing from the table", pkg, name)
			}
		}
	}
}

// faults returns what breaks the rules, in the order of the files.
func faults(files []file) []string {
	var found []string
	for _, f := range files {
		add := func(format string, args ...any) {
			found = append(found, f.name+": "+fmt.Sprintf(format, args...))
		}
		own, ok := allowed[f.pkg()]
		if !ok {
			add("package %s is missing from the table in table_test.go", f.pkg())
			continue
		}
		forTest := f.isTest() || slices.Contains(testsOnly, f.pkg())
		for _, imported := range f.imports {
			name, ours := strings.CutPrefix(imported, module+"/")
			switch {
			case ours && slices.Contains(testsOnly, name) && !forTest:
				add("%s is for tests only", name)
			case ours && !mayImport(f, own, name):
				add("%s may not import %s (see table_test.go)", f.pkg(), name)
			case !ours && !forTest:
				if d := doorOf(imported); d != nil && !slices.Contains(d.only, f.pkg()) {
					add("%s may be imported only by %s", imported, people(d.only))
				}
			}
		}
		if !forTest && !strings.HasPrefix(f.name, "cmd/") {
			for _, exit := range f.exits {
				add("%s ends the process, which only cmd may", exit)
			}
		}
	}
	return found
}

func mayImport(f file, own []string, name string) bool {
	if slices.Contains(own, anything) || slices.Contains(own, name) {
		return true
	}
	return f.isTest() && (name == f.pkg() || slices.Contains(forTests, name))
}

func doorOf(imported string) *door {
	for i, d := range doors {
		if imported == d.path || strings.HasPrefix(imported, d.path+"/") {
			return &doors[i]
		}
	}
	return nil
}

func people(packages []string) string {
	if len(packages) == 0 {
		return "tests"
	}
	return strings.Join(packages, ", ")
}

// parseModule reads every Go file below root but those of other modules and
// of testdata.
func parseModule(t *testing.T, root string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			base := entry.Name()
			if rel != "." && (base == "testdata" || base == "tools" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, ".go") {
			f, err := parse(name, rel)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parse(name, rel string) (file, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{name: rel}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(exits[x.Name], sel.Sel.Name) && slices.Contains(f.imports, x.Name) {
				f.exits = append(f.exits, x.Name+"."+sel.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}
