package pktline

import (
	"slices"
	"strings"
)

// Capabilities is a list of capabilities in the order sent, each "name" or
// "name=value" (gitprotocol-capabilities). A name may stand more than once,
// as symref does. In protocol version 2 each item is one line and its value
// may hold spaces.
type Capabilities []string

// ParseCapabilities splits a list at its spaces.
func ParseCapabilities(s string) Capabilities {
	var c Capabilities
	for item := range strings.SplitSeq(s, " ") {
		if item != "" {
			c = append(c, item)
		}
	}
	return c
}

// Has reports whether the capability is there, with or without a value.
func (c Capabilities) Has(name string) bool {
	_, ok := c.Value(name)
	return ok
}

// Value returns the value of the first capability of that name; "" for one
// without a value.
func (c Capabilities) Value(name string) (string, bool) {
	for _, item := range c {
		if n, v, _ := strings.Cut(item, "="); n == name {
			return v, true
		}
	}
	return "", false
}

// Values returns all values of a name, in order: for "symref" pairs such as
// "HEAD:refs/heads/main".
func (c Capabilities) Values(name string) []string {
	var values []string
	for _, item := range c {
		if n, v, _ := strings.Cut(item, "="); n == name {
			values = append(values, v)
		}
	}
	return values
}

// Intersect returns the capabilities that are among allowed, in their order.
// An allowed item "name" admits every value, "name=value" that value only.
func (c Capabilities) Intersect(allowed ...string) Capabilities {
	var both Capabilities
	for _, item := range c {
		name, _, _ := strings.Cut(item, "=")
		if slices.Contains(allowed, name) || slices.Contains(allowed, item) {
			both = append(both, item)
		}
	}
	return both
}

// String joins the items with spaces, as they stand behind the NUL.
func (c Capabilities) String() string { return strings.Join(c, " ") }
