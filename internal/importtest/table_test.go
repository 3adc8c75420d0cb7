// Package importtest checks which package may import which.
//
// The one idea is that the map of the architecture is a table that a test
// reads, and not only a picture: every package stands in the table with the
// packages of ours that it may import, and every outside dependency that has
// one door stands with the packages that are this door. A package that is
// missing from the table fails the test, so that a new one is placed on
// purpose.
//
// It parses every Go file of the module, whatever its build tags, and runs
// with the other tests and in make lint. It holds no code that the product
// uses.
package importtest

// allowed says for each package which packages of ours its ordinary files may
// import. Arrows point down: what stands here imports only what stands above
// it.
var allowed = map[string][]string{
	// Words and formats.
	"internal/ferry":     {},
	"internal/sns":       {},
	"internal/failpoint": {},
	"internal/pktline":   {"internal/ferry"},
	"internal/packscan":  {"internal/ferry"},

	// One outside thing each.
	"internal/config":      {"internal/ferry"},
	"internal/git":         {"internal/ferry"},
	"internal/smartcommit": {"internal/ferry"},
	"internal/codecommit":  {"internal/ferry"},
	"internal/weblink":     {"internal/ferry"},
	"internal/jira":        {"internal/ferry"},
	"internal/store":       {"internal/ferry", "internal/failpoint"},
	"internal/upstream":    {"internal/ferry", "internal/pktline"},

	// The work.
	"internal/policy": {"internal/ferry", "internal/smartcommit"},
	"internal/outbox": {"internal/ferry", "internal/failpoint", "internal/jira", "internal/smartcommit", "internal/store"},
	"mirror":          {"internal/ferry", "internal/failpoint", "internal/git", "internal/pktline", "internal/upstream"},
	"internal/index":  {"internal/ferry", "internal/failpoint", "internal/git", "internal/smartcommit", "internal/store", "mirror"},

	"internal/issues":    {"internal/ferry", "internal/jira", "internal/outbox", "internal/smartcommit", "internal/store"},
	"internal/discovery": {"internal/ferry", "internal/codecommit", "internal/store", "internal/upstream"},
	"internal/pulls":     {"internal/ferry", "internal/codecommit", "internal/git", "internal/smartcommit", "internal/store", "internal/upstream", "mirror"},
	"internal/triggers":  {"internal/ferry", "internal/codecommit", "internal/store"},
	"internal/ghshape":   {"internal/ferry", "internal/store"},
	"internal/filelist":  {"internal/ferry", "internal/git", "internal/store", "mirror"},
	"internal/webhook":   {"internal/ferry", "internal/filelist", "internal/ghshape", "internal/git", "internal/store", "mirror"},
	"internal/doctor":    {"internal/ferry", "internal/store", "internal/upstream", "mirror"},

	// The doors. proxy writes a push's release into the books before upstream
	// may act, so it knows store; it still knows no SQL.
	"proxy": {"internal/ferry", "internal/failpoint", "internal/git", "internal/packscan", "internal/pktline", "internal/policy", "internal/smartcommit", "internal/store", "internal/upstream", "mirror"},
	// index, outbox, codecommit and upstream are for the tests of ghapi, which
	// compare with the first and reach a stand-in with the others.
	"api/ghapi": {"internal/ferry", "internal/codecommit", "internal/filelist", "internal/ghshape", "internal/git", "internal/index", "internal/issues", "internal/outbox", "internal/pktline", "internal/pulls", "internal/smartcommit", "internal/store", "internal/upstream", "internal/webhook", "mirror"},
	"api/web":   {"internal/ferry", "internal/codecommit", "internal/discovery", "internal/doctor", "internal/filelist", "internal/git", "internal/index", "internal/issues", "internal/jira", "internal/outbox", "internal/policy", "internal/pulls", "internal/smartcommit", "internal/store", "internal/triggers", "internal/upstream", "internal/webhook", "internal/weblink", "mirror"},
	"api":       {"api/ghapi", "api/web", "internal/ferry", "internal/codecommit", "internal/discovery", "internal/doctor", "internal/git", "internal/index", "internal/issues", "internal/jira", "internal/outbox", "internal/policy", "internal/pulls", "internal/smartcommit", "internal/sns", "internal/store", "internal/triggers", "internal/upstream", "internal/webhook", "internal/weblink", "mirror"},

	// The stand-ins share no code with the clients they are tested with.
	"internal/sandbox/faults":     {},
	"internal/sandbox/codecommit": {"internal/git", "internal/sandbox/faults"},
	"internal/sandbox/jira":       {"internal/sandbox/faults"},
	"internal/sandbox":            {"internal/git", "internal/sandbox/codecommit", "internal/sandbox/faults", "internal/sandbox/jira"},

	"cmd/gitferry": {anything},

	// Tests only.
	"internal/gittest":               {"internal/ferry"},
	"internal/importtest":            {},
	"internal/sandbox/jira/contract": {"internal/sandbox/faults", "internal/sandbox/jira"},
	"internal/e2e":                   {anything},
	"internal/bench":                 {anything},
}

// anything stands for every package but those for tests only.
const anything = "*"

// testsOnly are packages that no ordinary file outside this list may import.
var testsOnly = []string{"internal/bench", "internal/e2e", "internal/gittest", "internal/importtest", "internal/sandbox/jira/contract"}

// forTests are packages that the test files of every package may import in
// addition to its own row. No client is among them, so that a stand-in's tests
// share none either.
var forTests = []string{
	"internal/ferry", "internal/git", "internal/gittest",
	"internal/sandbox/codecommit", "internal/sandbox/faults", "internal/sandbox/jira", "internal/sandbox/jira/contract",
}

// A door is an outside dependency and the packages that may import it in
// ordinary files; test files and packages for tests only may as well.
type door struct {
	path string // the import path or a path above it
	only []string
}

var doors = []door{
	{"github.com/labstack/echo", []string{"api", "api/ghapi", "api/web"}},
	{"github.com/gliderlabs/ssh", []string{"proxy"}},
	{"github.com/aws", []string{"internal/codecommit"}},
	{"github.com/go-git", []string{"internal/git"}},
	{"github.com/pjbgf/sha1cd", []string{"internal/git"}},
	{"os/exec", []string{"internal/git"}},
	{"database/sql", []string{"internal/store"}},
	{"github.com/mattn/go-sqlite3", []string{"internal/store"}},
	{"github.com/goccy/go-yaml", []string{"internal/config"}},
	{"github.com/spf13/cobra", []string{"cmd/gitferry"}},
	{"github.com/alecthomas/chroma", []string{"api/web"}},
	{"github.com/coreos/go-oidc", []string{"api/web"}},
	{"golang.org/x/oauth2", []string{"api/web"}},
	{"github.com/yuin/goldmark", []string{"api/web"}},
	{"github.com/microcosm-cc/bluemonday", []string{"api/web"}},
	{"github.com/bluekeyes/go-gitdiff", []string{"api/web", "api/ghapi"}},
	{"github.com/prometheus", []string{"api", "cmd/gitferry", "proxy"}},
	{"testing", nil},
	{"golang.org/x/crypto/openpgp", nil}, // unmaintained and unsafe: GO-2026-5932
}

// exits are the functions that end the process; only cmd may.
var exits = map[string][]string{
	"os":  {"Exit"},
	"log": {"Fatal", "Fatalf", "Fatalln"},
}
