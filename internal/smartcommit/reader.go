package smartcommit

import "strings"

// Subjects of messages that repeat those of other commits: nothing in such a
// message commands.
var repeatSubjects = []string{"fixup! ", "squash! ", "amend! ", "Squashed commit of the following:"}

// Subjects that git and hosts write: the subject itself does not command, the
// body does.
var generatedSubjects = []string{
	`Revert "`, `Reapply "`, "Merge branch ", "Merge branches ", "Merge remote-tracking branch ",
	"Merge tag ", "Merge commit ", "Merge pull request #",
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// A reader walks over the lines of a message and collects its commands.
type reader struct {
	s        string
	commands []command
	// carried is the group that commands without a group on their line act
	// on. Nil: none.
	carried *group
	// open is the index of a comment that the next line may continue, or -1.
	open int
}

// readCommands returns the commands of s in order of the text.
func readCommands(s string, spans []keySpan) []command {
	markTargets(s, spans)
	hashes := findHashes(s, spans)
	if len(hashes) == 0 {
		return nil
	}
	lines := splitLines(s)
	r := reader{s: s, open: -1}
	subject := 0
	for subject < len(lines)-1 && lines[subject].kind == blankLine {
		subject++
	}
	first := lines[subject]
	repeats := hasAnyPrefix(s[first.start:first.end], repeatSubjects)
	generated := hasAnyPrefix(s[first.start:first.end], generatedSubjects)
	for i, l := range lines {
		mine := hashes[:countWhile(hashes, func(h hash) bool { return h.at < l.end })]
		hashes = hashes[len(mine):]
		keys := spans[:countWhile(spans, func(k keySpan) bool { return k.start < l.end })]
		spans = spans[len(keys):]
		switch {
		case l.kind != plainLine:
			r.open = -1
		case repeats, generated && i == subject:
			if len(mine) > 0 {
				r.commands = append(r.commands, command{suppressed: true})
			}
		default:
			r.readLine(l, mine, groupKeys(s, keys), i == subject)
		}
	}
	return r.commands
}

// countWhile returns how many elements at the beginning of list satisfy ok.
func countWhile[T any](list []T, ok func(T) bool) int {
	n := 0
	for n < len(list) && ok(list[n]) {
		n++
	}
	return n
}

// readLine takes in one plain line with its hashes and groups.
func (r *reader) readLine(l line, hashes []hash, groups []group, subject bool) {
	starts := len(groups) > 0 && startsLine(r.s[l.start:groups[0].start])
	r.continueComment(l, hashes, starts)
	if starts {
		r.carried = &groups[0]
	}
	r.readCommandsOf(l, hashes, groups)
	if subject && r.carried == nil {
		// The first group is for the lines below, not for commands on its
		// left; one of unknown projects only counts where it starts a line.
		for i := range groups {
			if len(groups[i].keys) > 0 {
				r.carried = &groups[i]
				return
			}
		}
	}
}

// readCommandsOf finds target and argument of each command of a line.
func (r *reader) readCommandsOf(l line, hashes []hash, groups []group) {
	left := 0 // groups[:left] end before the hash
	for i, h := range hashes {
		for left < len(groups) && groups[left].end <= h.at {
			left++
		}
		if left > 0 {
			r.carried = &groups[left-1]
		}
		c := command{name: h.name}
		if r.carried != nil {
			c.keys = r.carried.keys
		}
		from, to, last := h.end, l.end, i == len(hashes)-1
		if h.name == "comment" && from < to && r.s[from] == ':' {
			from++
		}
		var next *group // the first group behind the command
		if left < len(groups) {
			next = &groups[left]
		}
		cut := false
		if !last {
			to = hashes[i+1].at
			if cut = next != nil && next.end <= to; cut {
				to = next.start
			}
		}
		c.argument = strings.TrimSpace(r.s[from:to])
		c.cut = cut && c.argument != ""
		if last && next != nil && !isBuiltIn(h.name) && c.argument == r.s[next.start:next.end] {
			c.argument = ""
			r.carried = next
		}
		r.commands = append(r.commands, c)
		if last && h.name == "comment" {
			r.open = len(r.commands) - 1
		}
	}
}

// continueComment adds a line to the comment that is open above it, up to the
// first command of the line, and closes the comment where it ends.
func (r *reader) continueComment(l line, hashes []hash, starts bool) {
	if r.open < 0 {
		return
	}
	c := &r.commands[r.open]
	end := l.end
	if len(hashes) > 0 || starts {
		r.open = -1
	}
	if starts {
		return
	}
	if len(hashes) > 0 {
		end = hashes[0].at
	}
	if text := strings.TrimSpace(r.s[l.start:end]); text != "" {
		c.more = append(c.more, text)
	}
}
