// Package smartcommit finds Jira issue keys and smart commits in text: in
// commit messages, branch names and titles of pull requests.
//
// The idea is one pass over the bytes for the keys, and a second one over the
// lines only where a "#word" could be a command; most messages never need the
// second. The grammar is a superset of the one that Jira's own commit
// processor has: where that runs a command with a sane meaning, this one gives
// the same issue, command and argument. It adds lower-case keys of known
// projects, commands on lines of their own, comments over several lines and
// the commands assign, label, fixversion and affectsversion, and it leaves out
// what nobody meant as a command: quoted, fenced and trailer lines, and the
// subjects that git writes itself.
//
// The index, the push policy and "gitferry explain" call Parse; the outbox
// calls MatchTransition; whoever hands a message to Jira calls Defuse.
//
// Everything here is pure: no clock, no input or output but Explain's reader
// and writer, no look at Jira. Time and memory grow linearly with the text,
// of which at most MaxMessage bytes are read. All functions may be called
// concurrently.
package smartcommit

import (
	"strings"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

// Limits of one text. What is beyond is left out and a warning says so.
const (
	MaxMessage       = 64 << 10 // bytes looked at
	MaxKeys          = 500      // issues linked; also the most unknown keys reported
	MaxCommandedKeys = 50       // issues that commands act on
	MaxCommands      = 20       // commands, each for any number of issues
)

// Kind says what a text is.
type Kind string

const (
	Commit Kind = "commit" // a commit message: keys and commands
	Branch Kind = "branch" // a branch's short name or a title: keys only
)

// Options say how a text is to be read. The zero value reads a commit message
// while the projects of Jira are not known.
type Options struct {
	// Projects holds the known project keys in upper case. Nil: Jira was
	// never reached, and upper-case keys that look like Jira's count unless
	// their project is on a list of usual false friends (UTF-8, SHA-256).
	Projects map[string]bool
	// All takes every project as known, whatever Projects holds.
	All bool
	// Kind is Commit when empty.
	Kind Kind
	// DaysPerWeek and HoursPerDay are Jira's time tracking settings; zero
	// means 5 and 8. They decide how "1.5w" is written in full.
	DaysPerWeek, HoursPerDay float64
	// Strict reads commands exactly as the parser that Atlassian published
	// with the Jira DVCS connector, for sites where Jira runs the commands.
	Strict bool
}

// Result is what was found in a text.
type Result struct {
	// Keys are the issues to link, each once, in order of first appearance.
	Keys []ferry.IssueKey
	// Actions are in order of the text, one for each issue of a command.
	// Their keys are among Keys.
	Actions []Action
	// Warnings are words for programs, each once; WarningText explains them.
	Warnings []string
	// Unknown are upper-case keys of projects that are not in
	// Options.Projects: to be looked up before they are linked. Commands that
	// stand behind one are not carried out, on no issue.
	Unknown []ferry.IssueKey
}

// Parse reads a text. It never fails: what is no key and no command is text.
// Bytes that are not UTF-8 read as U+FFFD.
func Parse(message string, o Options) Result {
	var r Result
	if len(message) > MaxMessage {
		message = cutMessage(message)
		r.warn(warnMessageCut)
	}
	spans := scanKeys(message, &o)
	r.link(message, spans)
	if o.Kind == Branch || strings.IndexByte(message, '#') < 0 {
		return r
	}
	if !utf8.ValidString(message) {
		message = strings.ToValidUTF8(message, "\uFFFD")
		spans = scanKeys(message, &o)
	}
	var commands []command
	if o.Strict {
		commands = strictCommands(message)
	} else {
		commands = readCommands(message, spans)
	}
	r.act(commands, &o)
	return r
}

// cutMessage returns the first MaxMessage bytes, less a word that would be
// cut: half of ABC-12 is another issue.
func cutMessage(message string) string {
	const longestWord = 512
	message = message[:MaxMessage+1]
	if i := strings.LastIndexAny(message[MaxMessage-longestWord:], " \t\r\n"); i >= 0 {
		return message[:MaxMessage-longestWord+i]
	}
	cut := MaxMessage
	for cut > MaxMessage-utf8.UTFMax && !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut]
}

// link fills Keys and Unknown from the spans.
func (r *Result) link(s string, spans []keySpan) {
	var linked, unknown set[ferry.IssueKey]
	for i := range spans {
		list, seen := &r.Keys, &linked
		if spans[i].foreign {
			list, seen = &r.Unknown, &unknown
		}
		key := spans[i].key(s)
		if seen.has(*list, key) {
			continue
		}
		if len(*list) == MaxKeys {
			r.warn(warnTooManyKeys)
			continue
		}
		seen.add(key)
		*list = append(*list, key)
	}
}

// warn adds a warning unless it is there already.
func (r *Result) warn(w string) {
	if len(r.Warnings) == maxWarnings {
		return
	}
	for _, have := range r.Warnings {
		if have == w {
			return
		}
	}
	r.Warnings = append(r.Warnings, w)
}

// A set answers membership for a list: by looking through short ones, with a
// map once the list is long.
type set[T comparable] struct{ m map[T]bool }

// has reports whether v is in list, all of whose elements were added.
func (s *set[T]) has(list []T, v T) bool {
	if len(list) < 16 {
		for _, have := range list {
			if have == v {
				return true
			}
		}
		return false
	}
	if s.m == nil {
		s.m = make(map[T]bool, 2*len(list))
		for _, have := range list {
			s.m[have] = true
		}
	}
	return s.m[v]
}

func (s *set[T]) add(v T) {
	if s.m != nil {
		s.m[v] = true
	}
}
