package codecommit

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// modelJSON is the published service model of CodeCommit (botocore's
// service-2.json form): which members a call has and what they may hold.
//
//go:embed codecommit.service.json
var modelJSON []byte

type serviceModel struct {
	Operations map[string]operationModel `json:"operations"`
	Shapes     map[string]*shapeModel    `json:"shapes"`
}

type operationModel struct {
	Input  *shapeRef  `json:"input"`
	Output *shapeRef  `json:"output"`
	Errors []shapeRef `json:"errors"`
}

type shapeRef struct {
	Shape string `json:"shape"`
}

type shapeModel struct {
	Type     string              `json:"type"`
	Members  map[string]shapeRef `json:"members"`
	Required []string            `json:"required"`
	Member   *shapeRef           `json:"member"`
	Min      *int                `json:"min"`
	Max      *int                `json:"max"`
	Pattern  string              `json:"pattern"`
	Enum     []string            `json:"enum"`

	pattern *regexp.Regexp
}

// model reads the embedded model once.
var model = sync.OnceValue(func() *serviceModel {
	m := &serviceModel{}
	if err := json.Unmarshal(modelJSON, m); err != nil {
		panic("the embedded service model: " + err.Error()) // part of the program, tested
	}
	for _, sh := range m.Shapes {
		if sh.Pattern != "" {
			sh.pattern = regexp.MustCompile("^(?:" + sh.Pattern + ")$")
		}
	}
	return m
})

// fails reports whether the operation has an error of that name.
func (o operationModel) fails(code string) bool {
	return slices.ContainsFunc(o.Errors, func(r shapeRef) bool { return r.Shape == code })
}

// checkInput checks the input of a call against the model and answers with the
// operation's own error: …RequiredException for an absent member,
// Invalid…Exception for a bad one.
func checkInput(operation string, in map[string]any) error {
	op := model().Operations[operation]
	if op.Input == nil {
		return nil
	}
	return op.checkStructure(op.Input.Shape, "", in)
}

func (o operationModel) checkStructure(shape, within string, in map[string]any) error {
	sh := model().Shapes[shape]
	for _, member := range sh.Required {
		v, shape := in[member], sh.Members[member].Shape
		switch code := o.requiredCode(within, member, shape); {
		case v == nil && code == "":
			return fail("ValidationException", "%s is required", member)
		case v == nil || v == "" && code != "" && model().Shapes[shape].Type == "string":
			return fail(code, "A value for %s is required", member)
		}
	}
	for member, v := range in {
		ref, ok := sh.Members[member]
		if !ok || v == nil {
			continue // unknown members are ignored, as the service does
		}
		if err := o.checkValue(ref.Shape, within, member, v); err != nil {
			return err
		}
	}
	return nil
}

func (o operationModel) checkValue(shape, within, member string, v any) error {
	sh := model().Shapes[shape]
	wrong := fail("SerializationException", "%s: unexpected kind of value", member)
	switch sh.Type {
	case "structure":
		m, ok := v.(map[string]any)
		if !ok {
			return wrong
		}
		return o.checkStructure(shape, strings.TrimSuffix(member, "s"), m)
	case "list":
		list, ok := v.([]any)
		if !ok {
			return wrong
		}
		for _, item := range list {
			if err := o.checkValue(sh.Member.Shape, within, member, item); err != nil {
				return err
			}
		}
	case "map":
		if _, ok := v.(map[string]any); !ok {
			return wrong
		}
	case "string":
		s, ok := v.(string)
		if !ok {
			return wrong
		}
		n := utf8.RuneCountInString(s)
		if sh.Min != nil && n < *sh.Min || sh.Max != nil && n > *sh.Max ||
			sh.pattern != nil && !sh.pattern.MatchString(s) ||
			len(sh.Enum) > 0 && !slices.Contains(sh.Enum, s) {
			return o.invalid(within, member, shape)
		}
	case "integer", "long":
		if _, ok := v.(json.Number); !ok {
			return wrong
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong
		}
	case "blob":
		s, ok := v.(string)
		if !ok {
			return wrong
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return wrong
		}
		if sh.Max != nil && len(b) > *sh.Max {
			return fail("FileContentSizeLimitExceededException", "The file is larger than %d bytes", *sh.Max)
		}
	}
	return nil
}

// requiredCode returns the operation's error for an absent member, "" if it
// has none.
func (o operationModel) requiredCode(within, member, shape string) string {
	for _, word := range words(within, member, shape) {
		if code := word + "RequiredException"; o.fails(code) {
			return code
		}
	}
	return ""
}

func (o operationModel) invalid(within, member, shape string) error {
	for _, word := range words(within, member, shape) {
		if code := "Invalid" + word + "Exception"; o.fails(code) {
			return fail(code, "The value for %s is not valid", member)
		}
	}
	return fail("ValidationException", "The value for %s is not valid", member)
}

// memberWords are the words in the names of errors that neither the member's
// nor the shape's name gives.
var memberWords = map[string][]string{
	"sourceReference":            {"ReferenceName", "Reference"},
	"destinationReference":       {"ReferenceName", "Reference"},
	"afterCommitSpecifier":       {"Commit"},
	"beforeCommitSpecifier":      {"Commit"},
	"sourceCommitSpecifier":      {"Commit", "SourceCommitSpecifier"},
	"destinationCommitSpecifier": {"Commit", "DestinationCommitSpecifier"},
	"putFiles":                   {"FileEntry"},
	"content":                    {"CommentContent"},
	"sourceFile":                 {"SourceFileOrContent"},
}

// words lists the forms under which the names of errors may refer to a member,
// the most exact first: commitIds is "CommitIdsList", a trigger's name is
// "RepositoryTriggerName".
func words(within, member, shape string) []string {
	list := slices.Clone(memberWords[member])
	m := upper(member)
	trimmed := strings.TrimSuffix(strings.TrimSuffix(shape, "Enum"), "Type")
	if within == "trigger" {
		list = append(list, "RepositoryTrigger"+m, "RepositoryTrigger"+m+"List", "RepositoryTrigger"+strings.TrimSuffix(m, "s")+"List",
			"RepositoryTrigger"+strings.TrimSuffix(m, "es")+"NameList", "RepositoryTrigger"+strings.TrimSuffix(m, "es")+"Name")
	}
	list = append(list, m, m+"List", shape, trimmed, "Repository"+m, "Repository"+m+"List", "PullRequest"+m)
	return list
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
