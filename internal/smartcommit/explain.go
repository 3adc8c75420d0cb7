package smartcommit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gitferry/internal/ferry"
)

// MaxLine is the longest line that Explain reads, in bytes. A message of
// 1 MiB, far more than MaxMessage, fits however its JSON escapes it.
const MaxLine = 8 << 20

// maxLineErrors is how many bad lines Explain's error names.
const maxLineErrors = 20

// question is one line of Explain's input. Other members are passed over.
type question struct {
	ID       json.RawMessage `json:"id"`
	Message  *string         `json:"message"`
	Kind     Kind            `json:"kind"`
	Projects json.RawMessage `json:"projects"`
}

// answer is one line of Explain's output.
type answer struct {
	ID       json.RawMessage  `json:"id"`
	Keys     []ferry.IssueKey `json:"keys"`
	Actions  []Action         `json:"actions"`
	Warnings []string         `json:"warnings"`
	Unknown  []ferry.IssueKey `json:"unknown"`
}

// refusal is the output line for an input line that cannot be read.
type refusal struct {
	ID    json.RawMessage `json:"id"`
	Error string          `json:"error"`
}

// Explain reads one JSON object a line from r and writes one a line to w.
//
// In: {"id", "message", "kind"?, "projects"?}: id is any JSON value and comes
// back as it is; kind is "commit" or "branch"; projects is a list of project
// keys, null for not known, or the string "*" for every project. Kind and
// projects that are left out are those of o.
//
// Out: {"id", "keys", "actions", "warnings", "unknown"}, each of the four a
// list, in the form of the worked examples under testdata. Lines that hold
// only white space are passed over.
//
// A line that cannot be read, or is longer than MaxLine, gives
// {"id", "error"}, and reading goes on; at the end Explain returns a
// ferry.ErrInvalid error that names the lines. Errors of r and w end it.
func Explain(r io.Reader, w io.Writer, o Options) error {
	in := bufio.NewReaderSize(r, 64<<10)
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var bad []error
	badLines := 0
	for number := 1; ; number++ {
		text, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongLine) {
			return errors.Join(fmt.Errorf("reading line %d: %w", number, err), out.Flush())
		}
		if len(bytes.TrimSpace(text)) > 0 || errors.Is(err, errLongLine) {
			var q question
			var a answer
			failure := err
			if !errors.Is(err, errLongLine) {
				a, failure = q.answer(text, o)
			}
			var result any = a
			if failure != nil {
				failure = fmt.Errorf("line %d: %w", number, failure)
				if badLines++; badLines <= maxLineErrors {
					bad = append(bad, failure)
				}
				result = refusal{ID: q.ID, Error: failure.Error()}
			}
			if err := enc.Encode(result); err != nil {
				return fmt.Errorf("writing the answer to line %d: %w", number, err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if in.Buffered() == 0 { // whoever asks line by line is waiting
			if err := out.Flush(); err != nil {
				return fmt.Errorf("writing the answer to line %d: %w", number, err)
			}
		}
	}
	if more := badLines - len(bad); more > 0 {
		bad = append(bad, fmt.Errorf("and %d more lines: %w", more, ferry.ErrInvalid))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	return errors.Join(bad...)
}

var errLongLine = fmt.Errorf("longer than %d KiB: %w", MaxLine>>10, ferry.ErrInvalid)

// readLine returns the next line without its end. A line longer than MaxLine
// is read to its end and gives errLongLine. After the last line, which may be
// empty, it gives io.EOF.
func readLine(in *bufio.Reader) ([]byte, error) {
	var text []byte
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(text)+len(part) > MaxLine; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case long:
			return nil, errLongLine // an end of file shows at the next call
		default:
			return text, err
		}
	}
}

// answer reads one line of input and parses its message.
func (q *question) answer(text []byte, o Options) (answer, error) {
	if err := json.Unmarshal(text, q); err != nil {
		return answer{}, fmt.Errorf("not an object with \"id\" and \"message\": %w: %w", err, ferry.ErrInvalid)
	}
	if q.Message == nil {
		return answer{}, fmt.Errorf("no \"message\": %w", ferry.ErrInvalid)
	}
	switch q.Kind {
	case Commit, Branch:
		o.Kind = q.Kind
	case "":
	default:
		return answer{}, fmt.Errorf("kind %.40q: want \"commit\" or \"branch\": %w", string(q.Kind), ferry.ErrInvalid)
	}
	if err := o.setProjects(q.Projects); err != nil {
		return answer{}, err
	}
	r := Parse(*q.Message, o)
	return answer{
		ID: q.ID, Keys: orEmpty(r.Keys), Actions: orEmpty(r.Actions),
		Warnings: orEmpty(r.Warnings), Unknown: orEmpty(r.Unknown),
	}, nil
}

// setProjects takes over the member "projects" of a question.
func (o *Options) setProjects(raw json.RawMessage) error {
	if raw == nil {
		return nil // not there
	}
	var list []string
	var text string
	switch {
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &text) == nil:
		list = strings.Split(text, ",")
	default:
		return fmt.Errorf("projects: want a list of project keys, null or \"*\": %w", ferry.ErrInvalid)
	}
	o.Projects, o.All = ProjectSet(list)
	return nil
}

// ProjectSet turns a list of project keys, in any case, into the values of
// Options.Projects and Options.All. A nil list means not known, "*" among the
// keys means every project.
func ProjectSet(list []string) (projects map[string]bool, all bool) {
	if list == nil {
		return nil, false
	}
	projects = make(map[string]bool, len(list))
	for _, p := range list {
		switch p = strings.ToUpper(strings.TrimSpace(p)); p {
		case "":
		case "*":
			all = true
		default:
			projects[p] = true
		}
	}
	return projects, all
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
