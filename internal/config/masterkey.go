package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gitferry/internal/ferry"
)

// MasterKeySize is the length of the key that seals secrets, in bytes.
const MasterKeySize = 32

// MasterKeyPath returns the file of the master key and whether the settings
// name it; where they do not, it lies beside the configuration file and may
// be made.
func (c *Config) MasterKeyPath() (path string, named bool) {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile, true
	}
	if c.base == "" {
		return "master.key", false
	}
	return filepath.Join(c.base, "master.key"), false
}

// MasterKey returns the key from the file of MasterKeyPath. If the settings
// name no file and none is there, it makes one with mode 0400 and reports
// made; the operator should hear of that, since the stored secrets are lost
// without the file.
//
// It fails with ferry.ErrNotFound if a named file is missing, and with
// ferry.ErrInvalid if the file lies in the data directory, may be read or
// written by others, or does not hold 64 hexadecimal digits.
func (c *Config) MasterKey() (key []byte, made bool, err error) {
	path, named := c.MasterKeyPath()
	if inside(path, c.DataDir) {
		return nil, false, keyFault("%s lies in the data directory, where a copy of the data would hold its own key; move it and name it in master_key_file", path)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if named {
			return nil, false, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("master_key_file %s: no such file; make one with: (umask 277; openssl rand -hex 32 > %s)", path, path)}
		}
		key, err = makeKey(path)
		return key, err == nil, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the master key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o037 != 0 {
		return nil, false, keyFault("%s may be read or changed by others (mode %04o); run: chmod 0400 %s", path, mode, path)
	}
	text, err := readBounded(path, maxSecret)
	if err != nil {
		return nil, false, fmt.Errorf("reading the master key: %w", err)
	}
	key, err = hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != MasterKeySize {
		return nil, false, keyFault("%s does not hold %d hexadecimal digits", path, 2*MasterKeySize)
	}
	return key, false, nil
}

// makeKey writes a new key durably, so that nothing is sealed with a key that
// a power cut takes away.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, MasterKeySize)
	rand.Read(key) // never fails since Go 1.24
	temp, err := os.CreateTemp(filepath.Dir(path), ".master-key-")
	if err != nil {
		return nil, fmt.Errorf("making the master key: %w", err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	_, err = temp.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, temp.Chmod(0o400), temp.Sync(), temp.Close()); err != nil {
		return nil, fmt.Errorf("making the master key: %w", err)
	}
	// A link, unlike a rename, leaves a key that another start just made.
	if err := os.Link(temp.Name(), path); err != nil {
		return nil, fmt.Errorf("making the master key: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("making the master key: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return nil, fmt.Errorf("making the master key: %w", err)
	}
	return key, nil
}

// inside reports whether path lies below dir.
func inside(path, dir string) bool {
	p, err1 := filepath.Abs(path)
	d, err2 := filepath.Abs(dir)
	if err1 != nil || err2 != nil {
		return false
	}
	rel, err := filepath.Rel(d, p)
	return err == nil && filepath.IsLocal(rel)
}

func keyFault(format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf(format, args...)}
}
