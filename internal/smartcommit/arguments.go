package smartcommit

import (
	"strings"
	"unicode"

	"gitferry/internal/ferry"
)

// builtIn maps the names of commands, other than transitions, to what they do.
var builtIn = map[string]Command{
	"comment":         Comment,
	"time":            Worklog,
	"assign":          Assign,
	"label":           Label,
	"labels":          Label,
	"fixversion":      FixVersion,
	"fix-version":     FixVersion,
	"affectsversion":  AffectsVersion,
	"affects-version": AffectsVersion,
}

func isBuiltIn(name string) bool {
	_, ok := builtIn[name]
	return ok
}

// act turns commands into actions and warnings.
func (r *Result) act(commands []command, o *Options) {
	var linked set[ferry.IssueKey]
	repeats := map[string]int{} // of an issue and what is done to it
	commanded := map[ferry.IssueKey]bool{}
	done := 0
	for _, c := range commands {
		switch {
		case c.suppressed:
			r.warn(warnSuppressed)
			continue
		case len(c.keys) == 0:
			r.warn(warnOrphan + c.name)
			continue
		case done == MaxCommands:
			r.warn(warnTooManyCommands)
			return
		}
		if c.cut {
			r.warn(warnCutByKey)
		}
		a, warning := c.understand(o)
		if warning != "" {
			r.warn(warning)
			continue
		}
		done++
		block := a.Normalised()
		for _, key := range c.keys {
			if !commanded[key] {
				// What is not linked is beyond MaxKeys, or only a key to the
				// strict reading.
				if !linked.has(r.Keys, key) {
					continue
				}
				if len(commanded) == MaxCommandedKeys {
					r.warn(warnTooManyCommanded)
					continue
				}
				commanded[key] = true
			}
			a.Key = key
			a.Ordinal = repeats[string(key)+" "+block]
			if a.Ordinal > 0 && a.Command != Comment && !o.Strict {
				continue
			}
			repeats[string(key)+" "+block]++
			r.Actions = append(r.Actions, a)
		}
	}
}

// understand returns the action that the command stands for, without its
// issue, or the warning that says why there is none.
func (c command) understand(o *Options) (Action, string) {
	if c.strict {
		return c.understandStrictly(), ""
	}
	kind, ok := builtIn[c.name]
	a := Action{Command: kind}
	switch kind {
	case Comment:
		if a.Text = c.text(); a.Text == "" {
			return a, warnNoComment
		}
	case Worklog:
		if c.argument == "" {
			return a, warnNoTime
		}
		d, rest, ok := parseDuration(c.argument, weekOf(o.DaysPerWeek, o.HoursPerDay))
		if !ok {
			return a, warnBadTime
		}
		a.Time, a.Text = d.String(), strings.TrimSpace(rest)
	case Assign:
		if a.User = firstUser(c.argument); a.User == "" {
			return a, warnNoAssignee
		}
	case Label:
		if a.Labels = splitLabels(c.argument); len(a.Labels) == 0 {
			return a, warnNoLabels
		}
	case FixVersion, AffectsVersion:
		if a.Version = unquote(c.argument); a.Version == "" {
			return a, warnNoVersion
		}
	}
	if !ok {
		a = Action{Command: Transition, Name: c.name, Text: c.argument}
	}
	return a, ""
}

// firstUser returns the first word of an argument without "@" in front and
// punctuation behind.
func firstUser(argument string) string {
	word := argument
	if i := strings.IndexFunc(word, unicode.IsSpace); i >= 0 {
		word = word[:i]
	}
	return strings.TrimRight(strings.TrimPrefix(word, "@"), ".,;:!?")
}

// splitLabels splits an argument at blanks, commas and semicolons, without
// full stops behind the words and without words that are punctuation only.
func splitLabels(argument string) []string {
	var labels []string
	var seen set[string]
	for _, w := range strings.FieldsFunc(argument, func(r rune) bool {
		return r == ',' || r == ';' || unicode.IsSpace(r)
	}) {
		w = strings.TrimRight(w, ".")
		if strings.IndexFunc(w, isWordRune) < 0 || seen.has(labels, w) {
			continue
		}
		seen.add(w)
		labels = append(labels, w)
	}
	return labels
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// unquote returns the text between the quotes if the argument begins with
// one, else the argument.
func unquote(argument string) string {
	inner, ok := strings.CutPrefix(argument, `"`)
	if !ok {
		return argument
	}
	if i := strings.IndexByte(inner, '"'); i >= 0 {
		inner = inner[:i]
	}
	return strings.TrimSpace(inner)
}
