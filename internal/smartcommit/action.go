package smartcommit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"gitferry/internal/ferry"
)

// A Command is what an action does.
type Command string

const (
	Comment        Command = "comment"
	Worklog        Command = "worklog"
	Transition     Command = "transition"
	Assign         Command = "assign"
	Label          Command = "label"
	FixVersion     Command = "fixVersion"
	AffectsVersion Command = "affectsVersion"
	// Failure stands for a command at which Jira's own processor reports an
	// error. Only strict reading gives it; there is nothing to carry out.
	Failure Command = "error"
)

// An Action is one command for one issue. Fields that do not belong to the
// command are empty. Its JSON form is that of the worked examples under
// testdata and reads back to an equal Action but for Ordinal.
type Action struct {
	Key     ferry.IssueKey
	Command Command
	// Text is the comment of Comment, the description of Worklog and the
	// comment that goes with Transition; the latter two may be without one.
	// Lines are separated by LF.
	Text string
	// Time is Worklog's duration in Jira's notation, "1w 2d 4h 30m"; see
	// Seconds.
	Time string
	// Name is the normalised word behind the hash of Transition and Failure:
	// "in-progress". MatchTransition finds the transition that is meant.
	Name string
	// User is Assign's user name or e-mail address, or "me" for the author.
	User string
	// Labels are Label's words, each once.
	Labels []string
	// Version is the name of the version of FixVersion and AffectsVersion.
	Version string
	// Ordinal counts equal actions of one message from 0. Only comments
	// repeat: of other equal actions Parse keeps the first.
	Ordinal int
}

// Normalised returns the action without its issue as one canonical text, to
// become part of the action's identity together with Ordinal: equal for
// messages that differ only in white space, in the case of the command, in
// the notation of a duration or in the order of labels. The first line holds
// the command and its fixed arguments, the second the free text, if any.
func (a Action) Normalised() string {
	fixed := ""
	switch a.Command {
	case Worklog:
		fixed = a.Time
	case Transition, Failure:
		fixed = a.Name
	case Assign:
		fixed = a.User
	case Label:
		fixed = strings.Join(slices.Sorted(slices.Values(a.Labels)), " ")
	case FixVersion, AffectsVersion:
		fixed = a.Version
	}
	b := string(a.Command)
	if fixed != "" {
		b += " " + oneBlank(fixed)
	}
	if a.Text != "" {
		b += "\n" + oneBlank(a.Text)
	}
	return b
}

// oneBlank puts one blank for each run of white space and composes accents.
func oneBlank(s string) string {
	return norm.NFC.String(strings.Join(strings.Fields(s), " "))
}

// Seconds returns the working time of a Worklog for a site whose weeks and
// days have that length; zero means 5 days and 8 hours. Jira itself takes
// Time as it is and reckons the same.
func (a Action) Seconds(daysPerWeek, hoursPerDay float64) int {
	w := weekOf(daysPerWeek, hoursPerDay)
	d, _, ok := parseDuration(a.Time, w)
	if !ok {
		return 0
	}
	return w.minutes(d) * 60
}

// MaxWorklog is the longest time that one command may log, in weeks. Whoever
// carries the action out refuses more: such a number is a slip.
const MaxWorklog = 4

// actionJSON is the wire form: the type decides which members are there.
type actionJSON struct {
	Issue   ferry.IssueKey `json:"issue"`
	Type    Command        `json:"type"`
	Command *string        `json:"command,omitempty"`
	Time    *string        `json:"time,omitempty"`
	Text    *string        `json:"text,omitempty"`
	User    *string        `json:"user,omitempty"`
	Labels  []string       `json:"labels,omitempty"`
	Version *string        `json:"version,omitempty"`
}

// MarshalJSON writes the form of the worked examples.
func (a Action) MarshalJSON() ([]byte, error) {
	j := actionJSON{Issue: a.Key, Type: a.Command}
	if a.Text != "" || a.Command == Comment {
		j.Text = &a.Text
	}
	switch a.Command {
	case Worklog:
		j.Time = &a.Time
	case Transition, Failure:
		j.Command = &a.Name
	case Assign:
		j.User = &a.User
	case Label:
		j.Labels = a.Labels
	case FixVersion, AffectsVersion:
		j.Version = &a.Version
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(j); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads what MarshalJSON wrote. It fails with ferry.ErrInvalid
// for a type that is not one of the commands.
func (a *Action) UnmarshalJSON(b []byte) error {
	var j actionJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("reading a smart-commit action: %w", err)
	}
	switch j.Type {
	case Comment, Worklog, Transition, Assign, Label, FixVersion, AffectsVersion, Failure:
	default:
		return fmt.Errorf("reading a smart-commit action: type %.40q: %w", j.Type, ferry.ErrInvalid)
	}
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	*a = Action{
		Key: j.Issue, Command: j.Type, Text: text(j.Text), Time: text(j.Time),
		Name: text(j.Command), User: text(j.User), Labels: j.Labels, Version: text(j.Version),
	}
	return nil
}
