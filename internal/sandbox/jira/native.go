package jira

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Jira's own smart-commit processor, as Atlassian's help pages and the public
// source of its 2015 connector describe it: keys in upper case, each line by
// itself, a command acts on the keys before it on its line, only the first
// 1,024 characters count, and the author's address must be that of exactly one
// user. Commands are comment and time; any other name is tried as a
// transition. Nothing here knows the product's grammar: what this runs is what
// a live site would run beside the product.
var (
	nativeKey     = regexp.MustCompile(`\p{Lu}[\p{Lu}\p{Nd}]+-\p{Nd}+`)
	nativeCommand = regexp.MustCompile(`#([A-Za-z][A-Za-z\-]*)`)
	nativeTime    = regexp.MustCompile(`(?:\d+[wdhm]\s*)+`)
	nativePart    = regexp.MustCompile(`\d+[wdhm]`)
	nativeJoin    = regexp.MustCompile(`^,?\s*$`)
	wordRune      = regexp.MustCompile(`[\p{L}\p{Nd}_]`)
)

// A nativeAction is one command with the keys it acts on.
type nativeAction struct {
	keys           []string
	name, argument string
}

// nativeActions reads a message.
func nativeActions(message string) []nativeAction {
	if r := []rune(message); len(r) > shownMessage {
		message = string(r[:shownMessage])
	}
	var list []nativeAction
	for line := range strings.Lines(message) {
		list = append(list, nativeLine(strings.TrimRight(line, "\r\n"))...)
	}
	return list
}

// A nativeToken is a key or a command of a line; it ends at end.
type nativeToken struct {
	start, end   int
	key, command string
}

func nativeTokens(line string) []nativeToken {
	var list []nativeToken
	for _, m := range nativeKey.FindAllStringIndex(line, -1) {
		before, after := line[:m[0]], line[m[1]:]
		if r := []rune(before); len(r) > 0 && (strings.ContainsRune("&=?>^!~/-", r[len(r)-1]) || wordRune.MatchString(string(r[len(r)-1]))) {
			continue
		}
		if r := []rune(after); len(r) > 0 && wordRune.MatchString(string(r[0])) {
			continue
		}
		list = append(list, nativeToken{start: m[0], end: m[1], key: line[m[0]:m[1]]})
	}
	for _, m := range nativeCommand.FindAllStringSubmatchIndex(line, -1) {
		// A command stands at the start of a line, after white space or
		// directly after a key.
		last, _ := utf8.DecodeLastRuneInString(line[:m[0]])
		afterKey := slices.ContainsFunc(list, func(t nativeToken) bool { return t.key != "" && t.end == m[0] })
		if m[0] == 0 || unicode.IsSpace(last) || afterKey {
			list = append(list, nativeToken{start: m[0], end: m[1], command: strings.ToLower(line[m[2]:m[3]])})
		}
	}
	slices.SortFunc(list, func(a, b nativeToken) int { return a.start - b.start })
	return list
}

func nativeLine(line string) []nativeAction {
	var list []nativeAction
	var group []string
	tokens := nativeTokens(line)
	for i, t := range tokens {
		if t.key != "" {
			joined := i > 0 && tokens[i-1].key != "" && nativeJoin.MatchString(line[tokens[i-1].end:t.start])
			if !joined {
				group = nil
			}
			group = append(slices.Clip(group), t.key)
			continue
		}
		end := len(line)
		if i+1 < len(tokens) {
			end = tokens[i+1].start
		}
		if len(group) > 0 {
			list = append(list, nativeAction{group, t.command, strings.TrimSpace(line[t.end:end])})
		}
	}
	return list
}

// runNative runs the commands in the message of a commit as its author and
// returns what happened, for the ledger.
func (st *site) runNative(in devEntityBody) []string {
	actions := nativeActions(*in.Message)
	if len(actions) == 0 {
		return nil
	}
	authored, err := time.Parse(time.RFC3339, *in.Authored)
	if err != nil || st.now().Sub(authored) > 14*24*time.Hour {
		return nil // too old to trigger anything (vendor guidance)
	}
	var author *user
	for _, u := range st.users {
		if !u.Inactive && u.Email == in.Author.Email {
			if author != nil {
				return []string{"native error: two users have the address of the author"}
			}
			author = u
		}
	}
	if author == nil {
		return []string{"native error: no user has the address of the author"}
	}
	var effects []string
	for _, a := range actions {
		for _, key := range a.keys {
			if is := st.byKey[key]; is != nil {
				effects = append(effects, "native "+st.runNativeAction(is, author, a, authored))
			}
		}
	}
	return effects
}

func (st *site) runNativeAction(is *issue, author *user, a nativeAction, authored time.Time) string {
	switch a.name {
	case "comment":
		if a.argument == "" {
			return fmt.Sprintf("error %s #comment: no text", is.key)
		}
		m := &comment{author: author, body: fromWiki(a.argument), properties: properties{}}
		st.addComment(is, m)
		return fmt.Sprintf("comment %s %d", is.key, m.id)
	case "time":
		at := nativeTime.FindStringIndex(a.argument)
		if at == nil || st.settings.TimeTrackingOff {
			return fmt.Sprintf("error %s #time: no duration", is.key)
		}
		seconds := int64(0)
		for _, part := range nativePart.FindAllString(a.argument[at[0]:at[1]], -1) {
			n, _ := parseSpent(part) // the expression admits durations only
			seconds += n
		}
		w := &worklog{author: author, seconds: seconds, started: authored, properties: properties{}}
		if rest := strings.TrimSpace(a.argument[:at[0]] + a.argument[at[1]:]); rest != "" {
			t := fromWiki(rest)
			w.comment = &t
		}
		st.addWorklog(is, w)
		return fmt.Sprintf("worklog %s %d %ds", is.key, w.id, w.seconds)
	}
	t := nativeTransition(openTransitions(is.status), a.name)
	if t == nil || t.screen {
		return fmt.Sprintf("error %s #%s: no such transition", is.key, a.name)
	}
	from := is.status.name
	st.take(is, t, "", author, json.RawMessage(nil))
	return fmt.Sprintf("transition %s %s -> %s", is.key, from, is.status.name)
}

// nativeTransition finds the transition of a name: the exact one, else the only
// one that begins so, else the only one that begins so with blanks for dashes.
func nativeTransition(open []*transition, name string) *transition {
	for _, t := range open {
		if strings.ToLower(t.name) == name {
			return t
		}
	}
	for _, prefix := range []string{name, strings.ReplaceAll(name, "-", " ")} {
		var found []*transition
		for _, t := range open {
			if strings.HasPrefix(strings.ToLower(t.name), prefix) {
				found = append(found, t)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return nil
}

// NativeCommands returns the commands that Jira's own processor would find in
// the message of a commit, each as "KEY KEY #name argument".
func NativeCommands(message string) []string {
	var list []string
	for _, a := range nativeActions(message) {
		list = append(list, strings.TrimSpace(strings.Join(a.keys, " ")+" #"+a.name+" "+a.argument))
	}
	return list
}
