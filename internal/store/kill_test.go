package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gitferry/internal/ferry"
)

// TestMain lets the test binary stand in for a process that writes until it
// is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("STORE_TEST_WRITE"); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path, Options{MasterKey: testKey})
	for n := 0; err == nil; n++ {
		name := fmt.Sprint("user-", n)
		if _, err = s.AddUser(ctx, ferry.User{Name: name}); err == nil {
			fmt.Println(name)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// What was acknowledged before a kill is there after it.
func TestKilledWhileWriting(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "gitferry.db")
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_WRITE="+path)
		cmd.Stderr = os.Stderr
		out := must(cmd.StdoutPipe())(t)
		check(t, cmd.Start())
		var acknowledged []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if acknowledged = append(acknowledged, lines.Text()); len(acknowledged) == 7+11*round {
				check(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil || len(acknowledged) < 7 {
			t.Fatalf("the writer ended by itself after %d writes: %v", len(acknowledged), err)
		}
		s := openAt(t, path, &clock{})
		for _, name := range acknowledged {
			if _, err := s.UserByName(t.Context(), name); err != nil {
				t.Errorf("acknowledged before the kill: %v", err)
			}
		}
		s.Close()
	}
}
