// Package failpoint lets tests stop, delay or fail gitferry at named places,
// one for every step whose crash must be survived (push.after_released and so
// on). Nothing is armed unless Arm was called, which only the hidden flag
// --failpoints of a test data directory does; an unarmed Hit costs one atomic
// load.
package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrInjected is what a failpoint with the action "error" returns.
var ErrInjected = errors.New("failpoint")

var armed atomic.Pointer[map[string]string]

// Arm sets failpoints from "name=action,name=action". Actions are "crash"
// (the process kills itself), "error", "enospc" and "sleep:MILLISECONDS".
func Arm(spec string) error {
	points := make(map[string]string)
	for part := range strings.SplitSeq(spec, ",") {
		name, action, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return fmt.Errorf("failpoint %q: want name=action", part)
		}
		kind, arg, _ := strings.Cut(action, ":")
		switch kind {
		case "crash", "error", "enospc":
		case "sleep":
			if _, err := strconv.Atoi(arg); err != nil {
				return fmt.Errorf("failpoint %q: want sleep:MILLISECONDS", part)
			}
		default:
			return fmt.Errorf("failpoint %q: want crash, error, enospc or sleep:MILLISECONDS", part)
		}
		points[name] = action
	}
	armed.Store(&points)
	return nil
}

// Hit carries out what is armed at name. It returns nil if nothing is.
func Hit(name string) error {
	points := armed.Load()
	if points == nil {
		return nil
	}
	action, arg, _ := strings.Cut((*points)[name], ":")
	switch action {
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "error":
		return fmt.Errorf("%w %s", ErrInjected, name)
	case "enospc":
		return fmt.Errorf("failpoint %s: %w", name, syscall.ENOSPC)
	case "sleep":
		ms, _ := strconv.Atoi(arg)
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	return nil
}
