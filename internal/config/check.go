package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// faults collects what is wrong, one line each.
type faults struct{ lines []string }

// add notes a fault: where it stands ("FILE:LINE:COL", a variable, or empty
// for a default), the key, and what is wrong and what to do.
func (f *faults) add(where, key, text string) {
	line := text
	if key != "" {
		line = key + ": " + line
	}
	if where != "" {
		line = where + ": " + line
	}
	f.lines = append(f.lines, line)
}

func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	return &ferry.Message{Kind: ferry.ErrInvalid, Text: strings.Join(f.lines, "\n")}
}

// A checker tests settings for sense, key by key.
type checker struct {
	*Config
	faults *faults
}

func (c *Config) check(found *faults) {
	k := checker{c, found}
	k.oneOf(reflect.ValueOf(c).Elem(), "")
	if c.DataDir == "" {
		k.bad("data_dir", "empty; name a directory")
	}
	k.doors()
	k.gate()
	k.policy()
	k.jira()
	k.oidc()
	k.integrations()
	k.people()
}

// bad notes a fault of the key at the place where it was set, or where the
// section or list around it was.
func (k checker) bad(key, format string, args ...any) {
	where := ""
	for at := key; at != "" && where == ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		where = k.sources[at]
	}
	k.faults.add(where, key, fmt.Sprintf(format, args...))
}

// oneOf checks every setting that has a fixed list of values. Inside the items
// of a list an empty text stands for a derived value.
func (k checker) oneOf(s reflect.Value, prefix string) {
	for i := range s.NumField() {
		t, v := s.Type().Field(i), s.Field(i)
		path := prefix + t.Tag.Get("key")
		values, fixed := t.Tag.Lookup("oneof")
		switch {
		case !t.IsExported():
		case isSection(t.Type):
			k.oneOf(v, path+".")
		case isList(t.Type):
			for j := range v.Len() {
				k.oneOf(v.Index(j), fmt.Sprintf("%s[%d].", path, j))
			}
		case fixed && !slices.Contains(strings.Split(values, "|"), v.String()) && (v.String() != "" || !strings.Contains(prefix, "[")):
			k.bad(path, "%.40q is unknown; write %s", v.String(), list(strings.Split(strings.TrimPrefix(values, "|"), "|")))
		}
	}
}

func (k checker) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		k.bad(key, "%.80q is no address with a port; write for example 127.0.0.1:7080", address)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		k.bad(key, "port %.20q is no number from 0 to 65535", port)
	}
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // reported by address
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// url checks a URL of one of the schemes with a host and without user, query
// and fragment. It returns nil after it noted a fault, in which it does not
// show the URL's password.
func (k checker) url(key, text string, schemes ...string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
		k.bad(key, "is no URL that can be used here; write %s://HOST", schemes[0])
	case u.User != nil && (u.Scheme != "ssh" || hasPassword(u)):
		k.bad(key, "holds a user name or password; give them in their own keys")
	case u.RawQuery != "" || u.Fragment != "":
		k.bad(key, "holds a query or fragment; leave out what follows ? or #")
	default:
		return u
	}
	return nil
}

func hasPassword(u *url.URL) bool { _, has := u.User.Password(); return has }
