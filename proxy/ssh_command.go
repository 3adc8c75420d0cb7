package proxy

import (
	"fmt"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

// A GitCommand is what an SSH client asks for: a service on a repository.
type GitCommand struct {
	Service string // "git-upload-pack" or "git-receive-pack"
	// Path is canonical: one to four names of A-Z a-z 0-9 . _ - joined by
	// slashes, without the leading slash and the suffix ".git" that clients
	// may send, such as "OWNER/NAME" or "v1/repos/NAME".
	Path string
}

// maxCommand is the longest command accepted, in bytes.
const maxCommand = 512

// gitServices are the forms in which clients name a service; git sends the
// dashed ones.
var gitServices = []struct{ form, service string }{
	{"git-upload-pack ", "git-upload-pack"},
	{"git-receive-pack ", "git-receive-pack"},
	{"git upload-pack ", "git-upload-pack"},
	{"git receive-pack ", "git-receive-pack"},
}

// ParseGitCommand reads the command of an exec request: one of the services,
// one space, and a path, bare or in single quotes. It is no shell: quotes in
// the path, backslashes, "$", backticks and control bytes are refused, and so
// is anything behind the path. It fails with ferry.ErrInvalid and says why.
func ParseGitCommand(s string) (GitCommand, error) {
	if len(s) > maxCommand {
		return GitCommand{}, fmt.Errorf("command is longer than %d bytes: %w", maxCommand, ferry.ErrInvalid)
	}
	for _, known := range gitServices {
		if path, ok := strings.CutPrefix(s, known.form); ok {
			path, err := parseCommandPath(path)
			if err != nil {
				return GitCommand{}, err
			}
			return GitCommand{Service: known.service, Path: path}, nil
		}
	}
	return GitCommand{}, fmt.Errorf("command %.60q: only git-upload-pack and git-receive-pack with a repository are served: %w", s, ferry.ErrInvalid)
}

// maxPathNames is the most names in a path: REGION/v1/repos/NAME.
const maxPathNames = 4

func parseCommandPath(quoted string) (string, error) {
	path := quoted
	if inner, ok := strings.CutPrefix(path, "'"); ok {
		if path, ok = strings.CutSuffix(inner, "'"); !ok {
			return "", fmt.Errorf("repository path %.80q: quote without its end: %w", quoted, ferry.ErrInvalid)
		}
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), ".git")
	names := strings.Split(path, "/")
	if len(names) > maxPathNames {
		return "", fmt.Errorf("repository path %.80q: want OWNER/NAME: %w", quoted, ferry.ErrInvalid)
	}
	for i, name := range names {
		if _, err := ferry.ParseRepositoryName(name); err != nil {
			return "", fmt.Errorf("repository path %.80q: part %d is empty or not a name: %w", quoted, i+1, ferry.ErrInvalid)
		}
	}
	return path, nil
}

// gitProtocol matches the values of GIT_PROTOCOL that are passed on.
var gitProtocol = regexp.MustCompile(`^version=[0-2](:[a-z0-9=._-]{1,40}){0,4}$`)
