package mirror

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gitferry/internal/ferry"
)

// config is the whole configuration of a mirror. Everything else is given to
// git with each command: a file that may name programs must not be able to
// (security reference, GIT-6).
const config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"

// writeConfig puts the configuration of the mirror at dir in its place.
func writeConfig(dir string) error {
	path := filepath.Join(dir, "config")
	if have, err := os.ReadFile(path); err == nil && string(have) == config {
		return nil
	}
	part := path + ".part"
	if err := os.WriteFile(part, []byte(config), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of a mirror: %w", err)
	}
	return os.Rename(part, path)
}

// checkConfig fails if somebody changed the configuration since it was
// written. The caller holds s.mu.
func (s *state) checkConfig() error {
	if !s.copied {
		return nil // written before the first copy is complete
	}
	path := filepath.Join(s.path, "config")
	now, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // removed with the mirror: git says so better
	}
	if err != nil {
		return err
	}
	if s.config != nil && os.SameFile(now, s.config) && now.Size() == s.config.Size() && now.ModTime().Equal(s.config.ModTime()) {
		return nil
	}
	have, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(have) != config {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the configuration of this repository's mirror was changed by somebody else, so it is not used; ask an administrator to restart gitferry, which writes it anew",
			Cause: fmt.Errorf("%s of %d bytes, changed %s", path, now.Size(), now.ModTime().Format(time.RFC3339))}
	}
	s.config = now
	return nil
}
