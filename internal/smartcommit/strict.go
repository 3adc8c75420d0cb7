package smartcommit

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

// strictCommands reads s as the commit message parser of Jira's DVCS connector
// does (edgehosting/jira-dvcs-connector,
// smartcommits/DefaultCommitMessageParser.java): each line on its own, a group of
// upper-case keys, then commands up to the next key.
func strictCommands(s string) []command {
	var commands []command
	for text := range strings.SplitSeq(s, "\n") {
		text = strings.TrimSuffix(text, "\r")
		spans := strictKeys(text)
		for i := 0; i < len(spans); {
			keys := []ferry.IssueKey{spans[i].key(text)}
			last := i
			for last+1 < len(spans) && strictJoins(text[spans[last].end:spans[last+1].start]) {
				last++
				keys = append(keys, spans[last].key(text))
			}
			end := len(text)
			if last+1 < len(spans) {
				end = spans[last+1].start
			}
			commands = appendStrict(commands, text[spans[last].end:end], keys)
			i = last + 1
		}
	}
	return commands
}

// appendStrict adds the commands in text, which follows a group of keys.
func appendStrict(commands []command, text string, keys []ferry.IssueKey) []command {
	first := len(commands)
	argument := 0 // of the command before
	finish := func(end int) {
		if len(commands) > first {
			commands[len(commands)-1].argument = strings.TrimSpace(text[argument:end])
		}
	}
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '#')
		if i < 0 {
			finish(len(text))
			return commands
		}
		at := from + i
		from = at + 1
		end := from
		for end < len(text) && (isLetter(text[end]) || end > from && text[end] == '-') {
			end++
		}
		if end == from {
			continue
		}
		if at > 0 {
			if r, _ := utf8.DecodeLastRuneInString(text[:at]); !unicode.IsSpace(r) {
				continue
			}
		}
		finish(at)
		commands = append(commands, command{name: strings.ToLower(text[from:end]), keys: keys, strict: true})
		argument, from = end, end
	}
}

// strictJoins reports whether two keys with text between them are one group:
// one comma may stand there, then blanks.
func strictJoins(between string) bool {
	return strings.TrimSpace(strings.TrimPrefix(between, ",")) == ""
}

// strictKeys returns the keys of one line: upper-case letters and digits, a
// dash and a number, on word borders and not right after & = ? > ^ ! ~ / -.
func strictKeys(s string) []keySpan {
	var spans []keySpan
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '-')
		if i < 0 {
			return spans
		}
		dash := from + i
		from = dash + 1
		end := dash + 1 + len(digits(s[dash+1:]))
		if end == dash+1 {
			continue
		}
		if r, n := utf8.DecodeRuneInString(s[end:]); n > 0 && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)) {
			continue
		}
		start := dash
		for start > 0 && (s[start-1] >= 'A' && s[start-1] <= 'Z' || isDigit(s[start-1])) {
			start--
		}
		if dash-start < 2 || isDigit(s[start]) {
			continue
		}
		if r, n := utf8.DecodeLastRuneInString(s[:start]); n > 0 &&
			(strings.ContainsRune("_&=?>^!~/-", r) || unicode.IsLetter(r) || unicode.IsDigit(r)) {
			continue
		}
		spans = append(spans, keySpan{start: start, dash: dash, end: end})
		from = end
	}
}

// strictTime is what that parser looks for anywhere in an argument of #time.
var strictTime = regexp.MustCompile(`([0-9]+[wdhm]\s*)+`)

// understandStrictly is understand for commands of strictCommands.
func (c command) understandStrictly() Action {
	switch c.name {
	case "comment":
		return Action{Command: Comment, Text: c.argument}
	case "time":
		m := strictTime.FindStringIndex(c.argument)
		if m == nil {
			return Action{Command: Failure, Name: c.name}
		}
		return Action{
			Command: Worklog,
			Time:    strings.TrimSpace(c.argument[m[0]:m[1]]),
			Text:    strings.TrimSpace(c.argument[:m[0]] + c.argument[m[1]:]),
		}
	}
	return Action{Command: Transition, Name: c.name, Text: c.argument}
}
