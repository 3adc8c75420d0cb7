package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestArm(t *testing.T) {
	if err := Hit("a"); err != nil {
		t.Errorf("Hit with nothing armed = %v", err)
	}
	for _, bad := range []string{"a", "a=", "a=explode", "a=sleep", "a=sleep:x", "a=error,b"} {
		if err := Arm(bad); err == nil {
			t.Errorf("Arm(%q) succeeded", bad)
		}
	}
	if err := Arm("a=error, b=enospc,c=sleep:20"); err != nil {
		t.Fatal(err)
	}
	defer armed.Store(nil)
	if err := Hit("a"); !errors.Is(err, ErrInjected) {
		t.Errorf("Hit of an error = %v", err)
	}
	if err := Hit("b"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Hit of a full disk = %v", err)
	}
	start := time.Now()
	if err := Hit("c"); err != nil || time.Since(start) < 20*time.Millisecond {
		t.Errorf("Hit of a sleep = %v after %s", err, time.Since(start))
	}
	if err := Hit("other"); err != nil {
		t.Errorf("Hit of another name = %v", err)
	}
}

// A crash is SIGKILL: nothing deferred runs.
func TestCrash(t *testing.T) {
	if os.Getenv("FAILPOINT_CRASH") != "" {
		defer os.Exit(0)
		if err := Arm("a=crash"); err != nil {
			os.Exit(1)
		}
		_ = Hit("a")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestCrash")
	cmd.Env = append(os.Environ(), "FAILPOINT_CRASH=1")
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want SIGKILL", err)
	}
}
