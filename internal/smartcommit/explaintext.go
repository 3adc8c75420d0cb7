package smartcommit

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"gitferry/internal/ferry"
)

// ExplainText writes for people what a message would do: the issues it
// links, for each command which issue it addresses and what it does there,
// and the warnings in words. The id, if any, stands above as a heading.
func ExplainText(w io.Writer, id, message string, o Options) error {
	r := Parse(message, o)
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "%s\n", OneLine(id))
	}
	if len(r.Keys) == 0 {
		b.WriteString("Issues: none\n")
	} else {
		fmt.Fprintf(&b, "Issues: %s\n", joinKeys(r.Keys))
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintf(&b, "Unknown projects: %s (linked only if Jira has them; commands for them are not carried out)\n", joinKeys(r.Unknown))
	}
	if o.Kind != Branch {
		if len(r.Actions) == 0 {
			b.WriteString("Commands: none\n")
		} else {
			b.WriteString("Commands:\n")
		}
	}
	for _, a := range r.Actions {
		fmt.Fprintf(&b, "  %s: %s\n", a.Key, a.Describe())
	}
	if len(r.Warnings) > 0 {
		b.WriteString("Warnings:\n")
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "  %s\n", WarningText(warning))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Describe says in one line what an action does, without the issue: `comment
// "done as asked"`. It is fit for a terminal.
func (a Action) Describe() string {
	with := ""
	if a.Text != "" {
		with = " with comment " + quote(a.Text)
	}
	switch a.Command {
	case Comment:
		return "comment " + quote(a.Text)
	case Worklog:
		return "log " + a.Time + strings.Replace(with, " with comment ", " as ", 1)
	case Transition:
		return "transition " + OneLine(a.Name) + with
	case Assign:
		if a.User == "me" {
			return "assign to the author"
		}
		return "assign to " + OneLine(a.User)
	case Label:
		return "add label " + OneLine(strings.Join(a.Labels, ", "))
	case FixVersion:
		return "add fix version " + OneLine(a.Version)
	case AffectsVersion:
		return "add affected version " + OneLine(a.Version)
	}
	return "#" + OneLine(a.Name) + ": Jira reports an error"
}

// quote shows text in quotes on one line.
func quote(text string) string {
	return `"` + OneLine(strings.ReplaceAll(text, "\n", " / ")) + `"`
}

// OneLine makes text fit for one line of a terminal: white space becomes a
// blank, and what a terminal or a reader's eye might be fooled by is dropped
// (control and format characters, bidirectional ones among them). Bytes that
// are not UTF-8 show as U+FFFD.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf):
			return -1
		}
		return r
	}, s)
}

func joinKeys(keys []ferry.IssueKey) string {
	s := make([]string, len(keys))
	for i, k := range keys {
		s[i] = string(k)
	}
	return strings.Join(s, ", ")
}
