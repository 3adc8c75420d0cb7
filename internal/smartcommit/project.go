package smartcommit

import "strings"

// projectMatch is what a word before a dash and a number turned out to be.
type projectMatch int

const (
	noProject      projectMatch = iota
	knownProject                // counts
	foreignProject              // looks like a project, but is not a known one
)

// stopList holds words that look like projects in front of numbers. They
// never count by guess and are never looked up; a known project of that name
// wins.
var stopList = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`UTF UCS ISO IEC SHA MD AES RSA DES CVE CWE GHSA RFC PEP JEP JSR
		IEEE ECMA ANSI DIN ASCII CP KOI BASE HTTP TLS SSL IPV USB EN GPT COVID MP VP AV ES PS ARM AMD
		INTEL WIN WINDOWS UTC GMT ISBN PR MR GH SPDX BSD GPL LGPL MIT CC PKCS FIPS NIST BIP EIP ERC
		SOC PCI`) {
		m[w] = true
	}
	return m
}()

// project finds the project key at the end of run, a word of letters, digits
// and underscores: the whole of it, if whole allows, or a part that begins
// after an underscore. It returns where the project key begins.
func (o *Options) project(run string, whole bool) (int, projectMatch) {
	switch {
	case o.All:
		return anyProject(run, whole)
	case o.Projects != nil:
		if off, ok := o.longestKnown(run, whole); ok {
			return off, knownProject
		}
		off, ok := guessProject(run, whole)
		if !ok {
			return 0, noProject
		}
		return off, foreignProject
	default:
		off, ok := guessProject(run, whole)
		if !ok {
			return 0, noProject
		}
		return off, knownProject
	}
}

// longestKnown returns where the longest end of run that is a known project
// begins.
func (o *Options) longestKnown(run string, whole bool) (int, bool) {
	// No project is longer than maxProject: look at the end only, so that a
	// long run of underscores costs little.
	cut := max(0, len(run)-maxProject)
	var upper [maxProject]byte
	n := copy(upper[:], run[cut:])
	for i, c := range upper[:n] {
		if c >= 'a' && c <= 'z' {
			upper[i] = c - 0x20
		}
	}
	for i := 0; i+2 <= n; i++ {
		if startsProject(run, cut+i, whole) && o.Projects[string(upper[i:n])] {
			return cut + i, true
		}
	}
	return 0, false
}

// startsProject reports whether a project key may begin at run[i].
func startsProject(run string, i int, whole bool) bool {
	if i == 0 {
		return whole
	}
	return run[i-1] == '_' && isLetter(run[i])
}

// guessProject takes run for a project of Jira Cloud's shape that is not on
// the stop list: the whole of it, or what stands after the last underscore of
// a word that cannot be a project key as it is written (wip_DEF).
func guessProject(run string, whole bool) (int, bool) {
	off := strings.LastIndexByte(run, '_') + 1
	if off == 0 && !whole || off > 0 && !hasLower(run) {
		return 0, false
	}
	if p := run[off:]; !isCloudProject(p) || stopList[p] {
		return 0, false
	}
	return off, true
}

// isCloudProject reports whether s is upper case and of the shape that Jira
// Cloud allows for project keys: a letter, then 1 to 9 letters or digits.
func isCloudProject(s string) bool {
	if len(s) < 2 || len(s) > 10 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if (s[i] < 'A' || s[i] > 'Z') && !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// anyProject takes run for a project while every project counts. Of a word
// such as wip_DEF only the part in upper case is the project.
func anyProject(run string, whole bool) (int, projectMatch) {
	if hasLower(run) {
		if off := strings.LastIndexByte(run, '_') + 1; off > 0 && isCloudProject(run[off:]) {
			return off, knownProject
		}
	}
	for i := 0; i+2 <= len(run); i++ {
		if len(run)-i <= maxProject && startsProject(run, i, whole) {
			return i, knownProject
		}
	}
	return 0, noProject
}
