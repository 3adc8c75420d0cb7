package e2e

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the stories of testdata/*.txtar: the real git and ssh, one
// command for each identity. Commands beside testscript's own:
//
//	ferry [key=value…]      starts server and stand-ins; keys are git-auth, edition,
//	                        failpoints and config (a file of further YAML)
//	alice|bob|root ARG…     that person's git
//	upstream ARG…           git with the stand-in CodeCommit's own credentials
//	idle, consistent        wait for quiet; compare upstream, mirror, index, deliveries
//	effects PATTERN N       N effects in Jira's ledger match
//	fault jira|codecommit JSON   replaces the fault rules
//	deny JSON               takes IAM actions away
//	stop, kill, exited      ends the server; waits for its own end
//	start [failpoints=…]    starts the server again on the same data
//	gitferry ARG…           the command line beside the server
//	retry N COMMAND…        tries a command for up to N seconds
//	alice-fetch-oid FILE    fetches the object named in work/FILE by its id
//	grep-oid FILE           the last output names the object in FILE
//
// Variables: $URL and $SSHURL of us-east-1/demo, $UPSTREAM of its upstream,
// $HTTP, $SSH, $JIRA, $CODECOMMIT.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values["world"] = &scriptWorld{}
			env.Values[testingKey{}] = env.T()
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			env.Setenv("GIT_TERMINAL_PROMPT", "0")
			env.Setenv("LC_ALL", "C")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ferry":      scriptFerry,
			"alice":      scriptPerson("alice"),
			"bob":        scriptPerson("bob"),
			"root":       scriptPerson("root"),
			"upstream":   scriptUpstream,
			"idle":       func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).waitIdle() },
			"consistent": func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).consistent() },
			"effects":    scriptEffects,
			"fault":      scriptFault,
			"deny": func(ts *testscript.TestScript, _ bool, args []string) {
				control(of(ts).t, of(ts).awsURL, "PUT", "deny", args[0])
			},
			"stop":     func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).stop() },
			"kill":     func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).kill() },
			"exited":   func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).waitExit() },
			"start":    scriptStart,
			"gitferry": scriptGitferry,
			"retry":    scriptRetry,
			"alice-fetch-oid": func(ts *testscript.TestScript, neg bool, args []string) {
				setPerson(ts, "alice")
				oid := strings.TrimSpace(ts.ReadFile(filepath.Join(ts.Getenv("WORK"), "work", args[0])))
				runGit(ts, neg, []string{"-c", "protocol.version=2", "fetch", ts.Getenv("URL"), oid})
			},
			"grep-oid": func(ts *testscript.TestScript, neg bool, args []string) {
				if found := strings.Contains(ts.ReadFile("stdout"), strings.TrimSpace(ts.ReadFile(args[0]))); found == neg {
					ts.Fatalf("the object of %s in the output: %v", args[0], found)
				}
			},
		},
	})
}

// scriptWorld is the world of one script, once "ferry" made it.
type scriptWorld struct{ *world }

func of(ts *testscript.TestScript) *world {
	w := ts.Value("world").(*scriptWorld)
	if w.world == nil {
		ts.Fatalf("no server yet: the script must begin with ferry")
	}
	return w.world
}

func scriptFerry(ts *testscript.TestScript, _ bool, args []string) {
	var o options
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "git-auth":
			o.gitAuth = value
		case "edition":
			o.edition = value
		case "failpoints":
			o.failpoints = value
		case "config":
			o.config = ts.ReadFile(value)
		default:
			ts.Fatalf("ferry: unknown %s", a)
		}
	}
	holder := ts.Value("world").(*scriptWorld)
	t := ts.Value(testingKey{}).(testing.TB)
	holder.world = newWorld(t, o)
	w := holder.world
	c := w.codecommit.Credentials()
	upstream := strings.Replace(w.awsURL, "://", "://"+url.QueryEscape(c.GitUsername)+":"+url.QueryEscape(c.GitPassword)+"@", 1)
	for name, value := range map[string]string{
		"URL": w.url("us-east-1/demo"), "SSHURL": w.sshURL("us-east-1/demo"), "UPSTREAM": upstream + "/us-east-1/v1/repos/demo",
		"HTTP": w.http, "SSH": w.ssh, "JIRA": w.jiraURL, "CODECOMMIT": w.awsURL,
	} {
		ts.Setenv(name, value)
	}
}

type testingKey struct{}

// scriptPerson makes the command that runs a person's git.
func scriptPerson(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		setPerson(ts, name)
		runGit(ts, neg, args)
	}
}

func setPerson(ts *testscript.TestScript, name string) {
	for _, kv := range of(ts).env(name) {
		key, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(key, "GIT_") {
			ts.Setenv(key, value)
		}
	}
}

func scriptUpstream(ts *testscript.TestScript, neg bool, args []string) {
	setPerson(ts, "alice")
	ts.Setenv("GIT_CONFIG_COUNT", "0")
	runGit(ts, neg, args)
}

func runGit(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("git", args...)
	if err != nil && !neg {
		ts.Fatalf("git failed: %v", err)
	}
	if err == nil && neg {
		ts.Fatalf("git succeeded, and should not have")
	}
}

func scriptEffects(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := of(ts).effects(args[0]); got != want {
		ts.Fatalf("%d effects match %q, want %d", got, args[0], want)
	}
}

func scriptFault(ts *testscript.TestScript, _ bool, args []string) {
	w := of(ts)
	base := map[string]string{"jira": w.jiraControl, "codecommit": w.awsURL}[args[0]]
	control(w.t, base, "PUT", "faults", args[1])
}

func scriptStart(ts *testscript.TestScript, _ bool, args []string) {
	w := of(ts)
	w.options.failpoints = ""
	for _, a := range args {
		w.options.failpoints = strings.TrimPrefix(a, "failpoints=")
	}
	w.start()
}

func scriptGitferry(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	err := ts.Exec(binary, append(args, "--config", w.path("gitferry.yaml"))...)
	if (err == nil) == neg {
		ts.Fatalf("gitferry %s: %v", strings.Join(args, " "), err)
	}
}

func scriptRetry(ts *testscript.TestScript, _ bool, args []string) {
	seconds, err := strconv.Atoi(args[0])
	ts.Check(err)
	name, rest := args[1], args[2:]
	for end := time.Now().Add(time.Duration(seconds) * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var err error
		switch name {
		case "effects":
			want, convErr := strconv.Atoi(rest[1])
			ts.Check(convErr)
			if got := of(ts).effects(rest[0]); got != want {
				err = fmt.Errorf("%d effects match %q, want %d", got, rest[0], want)
			}
		default:
			setPerson(ts, name)
			err = ts.Exec("git", rest...)
		}
		if err == nil {
			return
		}
		if time.Now().After(end) {
			w := of(ts)
			ts.Logf("deliveries: %s\njira: %s", w.gitferry("delivery", "list", "--json"), w.gitferry("jira", "show", "--json"))
			ts.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
	}
}
