package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	table = flag.String("table", "", "write the table to this file; without it nothing is measured")
	only  = flag.String("rows", ".", "regular expression of the groups to measure: push, big, read, books, many, scale")
)

var binary string // the server

func TestMain(m *testing.M) {
	if role, arg, _ := strings.Cut(os.Getenv(roleVariable), " "); role != "" {
		if err := play(role, arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if *table == "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "gitferry-bench-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "gitferry")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "gitferry/cmd/gitferry")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the server:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// play is another process's part.
func play(role, arg string) error {
	switch role {
	case "backend":
		return serveBackend(arg)
	case "index":
		return firstIndex(arg)
	}
	return fmt.Errorf("no role %s", role)
}

// measured reports whether a group is to be measured.
func measured(group string) bool { return regexp.MustCompile(*only).MatchString(group) }

// TestTable measures everything and writes the table.
func TestTable(t *testing.T) {
	if *table == "" {
		t.Skip("run make bench")
	}
	b := newBench(t)
	b.fill()
	b.start("")
	b.awaitIdle()
	b.find()
	for _, group := range []struct {
		name string
		run  func(*bench)
	}{{"push", pushes}, {"big", bigPushes}, {"read", reads}, {"books", books}, {"many", many}, {"scale", scale}} {
		if measured(group.name) {
			group.run(b)
		}
	}
	f, err := os.Create(*table)
	must(t, err)
	must(t, b.write(f))
	must(t, f.Close())
}
