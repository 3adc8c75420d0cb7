package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"gitferry/internal/ferry"
)

// File is the configuration file that Load reads when none is named, in the
// working directory.
const File = "gitferry.yaml"

// Bounds of what is read, in bytes.
const (
	maxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Load returns the settings: the defaults, then the file at path, then the
// variables of environ ("NAME=value", as os.Environ returns them), then the
// files that hold secrets.
//
// An empty path means File if it exists, else no file. A path that is given
// must exist: ferry.ErrNotFound. What is wrong with the settings comes back as
// one ferry.ErrInvalid with a line for each fault: all that cannot be read, or
// else all that makes no sense.
func Load(path string, environ []string) (*Config, error) {
	c := Default()
	c.base, c.sources = ".", map[string]string{}
	var found faults

	name, given := path, path != ""
	if !given {
		name = File
	}
	text, err := readBounded(name, maxFile)
	switch {
	case err == nil:
		c.base = filepath.Dir(name)
		r := reader{name: name, sources: c.sources, faults: &found}
		r.read(text, reflect.ValueOf(c).Elem(), "")
	case errors.Is(err, fs.ErrNotExist) && !given:
	case errors.Is(err, fs.ErrNotExist):
		return nil, &ferry.Message{Kind: ferry.ErrNotFound, Text: name + ": no such configuration file", Cause: err}
	default:
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}

	c.readEnvironment(environ, &found)
	c.readSecretFiles(reflect.ValueOf(c).Elem(), "", &found)
	if found.err() == nil { // else it would complain of what could not be read
		c.check(&found)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate checks settings that a program has put together or changed. It
// fails like Load.
func (c *Config) Validate() error {
	var found faults
	c.check(&found)
	return found.err()
}

func (c *Config) readEnvironment(environ []string, found *faults) {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "GITFERRY_") {
			values[name] = value
		}
	}
	walk(reflect.ValueOf(c).Elem(), "", func(f field) {
		name := variable(f.path)
		text, ok := values[name]
		if !ok {
			return
		}
		c.sources[f.path] = name
		switch {
		case isList(f.value.Type()):
			r := reader{name: name, sources: c.sources, faults: found}
			r.read([]byte(text), f.value, f.path)
		case f.value.Kind() == reflect.Slice:
			f.value.Set(reflect.ValueOf(splitList(text)))
		default:
			if err := setText(f.value, text); err != nil {
				found.add(name, f.path, err.Error())
			}
		}
		// A secret given in one way in the file is replaced by the other way
		// in the environment.
		c.dropOther(f.path, values)
	})
}

// dropOther clears KEY when the environment gave KEY_file, and the reverse,
// unless the environment gave both.
func (c *Config) dropOther(path string, values map[string]string) {
	other, isFile := strings.CutSuffix(path, "_file")
	if !isFile {
		other = path + "_file"
	}
	if _, ok := values[variable(other)]; ok {
		return
	}
	walk(reflect.ValueOf(c).Elem(), "", func(f field) {
		if f.path == other {
			f.value.SetZero()
			delete(c.sources, other)
		}
	})
}

// UnknownVariables returns the names in environ that begin with GITFERRY_ and
// belong to no key, for a warning: they may be misspelt, or not meant for us
// (container platforms set such names by themselves).
func UnknownVariables(environ []string) []string {
	known := map[string]bool{}
	for _, k := range Keys() {
		known[k.Variable] = true
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "GITFERRY_") && !known[name] && !known[strings.TrimSuffix(name, "_FILE")] {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// readSecretFiles fills every secret whose KEY_file names a file.
func (c *Config) readSecretFiles(s reflect.Value, prefix string, found *faults) {
	for i := range s.NumField() {
		t, v := s.Type().Field(i), s.Field(i)
		path := prefix + t.Tag.Get("key")
		switch {
		case !t.IsExported():
		case isSection(t.Type):
			c.readSecretFiles(v, path+".", found)
		case isList(t.Type):
			for j := range v.Len() {
				c.readSecretFiles(v.Index(j), fmt.Sprintf("%s[%d].", path, j), found)
			}
		case t.Type == secretType:
			name := s.FieldByName(t.Name + "File").String() // every secret has its file; a test checks it
			if name == "" {
				continue
			}
			if !v.Interface().(ferry.Secret).IsZero() {
				found.add(c.sources[path+"_file"], path+"_file", t.Tag.Get("key")+" is given as well; keep one of the two")
				continue
			}
			text, err := readBounded(name, maxSecret)
			if err != nil {
				found.add(c.sources[path+"_file"], path+"_file", err.Error())
				continue
			}
			v.Set(reflect.ValueOf(ferry.NewSecret(strings.TrimRight(string(text), "\r\n"))))
		}
	}
}

// splitList reads a list of texts from a variable: parts between commas,
// without the blanks around them. An empty text is an empty list.
func splitList(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// readBounded reads a whole regular file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", name, Size(limit))
	}
	return text, nil
}
