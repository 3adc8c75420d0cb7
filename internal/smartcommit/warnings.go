package smartcommit

import (
	"fmt"
	"strings"
)

// The warnings of Result, jira.md's grammar and the caps of this package.
const (
	warnOrphan           = "orphan-command:" // followed by the command's name
	warnNoComment        = "missing-comment-text"
	warnNoTime           = "missing-time"
	warnBadTime          = "bad-time"
	warnNoAssignee       = "missing-assignee"
	warnNoLabels         = "missing-labels"
	warnNoVersion        = "missing-version"
	warnCutByKey         = "argument-cut-by-key"
	warnSuppressed       = "commands-suppressed"
	warnMessageCut       = "message-cut"
	warnTooManyKeys      = "too-many-keys"
	warnTooManyCommanded = "too-many-commanded-keys"
	warnTooManyCommands  = "too-many-commands"
)

// maxWarnings bounds the warnings of one message.
const maxWarnings = 50

var warningTexts = map[string]string{
	warnNoComment:        "#comment has no text; no comment will be made",
	warnNoTime:           "#time has no duration; nothing will be logged (write #time 1h 30m)",
	warnBadTime:          "#time does not begin with a duration in w, d, h or m; nothing will be logged (write #time 1h 30m)",
	warnNoAssignee:       "#assign names nobody; write #assign and a user name or e-mail address",
	warnNoLabels:         "#label has no label behind it",
	warnNoVersion:        "#fixversion or #affectsversion has no version behind it",
	warnCutByKey:         "a key inside a command's text ended the text there; the commands behind it act on that key",
	warnSuppressed:       "commands in a subject that git wrote, or in a fixup, squash or amend commit, are not carried out",
	warnMessageCut:       fmt.Sprintf("the message is longer than %d KiB; the rest was not read", MaxMessage>>10),
	warnTooManyKeys:      fmt.Sprintf("more than %d issue keys; the others are not linked", MaxKeys),
	warnTooManyCommanded: fmt.Sprintf("commands for more than %d issues; the others are left alone", MaxCommandedKeys),
	warnTooManyCommands:  fmt.Sprintf("more than %d commands; the others are not carried out", MaxCommands),
}

// WarningText says in words what a warning of Result means.
func WarningText(warning string) string {
	if name, ok := strings.CutPrefix(warning, warnOrphan); ok {
		return "#" + name + " has no key of a known project before it; nothing will be done"
	}
	if text, ok := warningTexts[warning]; ok {
		return text
	}
	return warning
}
