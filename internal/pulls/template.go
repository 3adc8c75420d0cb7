package pulls

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

// Defaults of the branch-name template (product reference, 15.1).
const (
	DefaultTemplate  = "${issuekey}-${summary}"
	DefaultSeparator = "-"
	DefaultMaxName   = 250 // characters
)

// A Template makes names for new branches. The zero Template is the default.
type Template struct {
	Text      string `json:"template"`  // empty: DefaultTemplate
	Separator string `json:"separator"` // stands for blanks and forbidden characters; one of "-", "_", "."; empty: DefaultSeparator
	Max       int    `json:"max"`       // characters; 0: DefaultMaxName
	ASCII     bool   `json:"ascii"`     // letters of other alphabets become separators, accents are dropped
}

// Validate reports whether names can be made of the template; the error is
// fit for people.
func (t Template) Validate() error {
	if len(t.Text) > DefaultMaxName || !slices.Contains([]string{"", "-", "_", "."}, t.Separator) || t.Max < 0 || t.Max > MaxBranchName {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "The branch name template has at most 250 characters, its separator is -, _ or a dot, and names have at most 256 characters."}
	}
	return nil
}

// Values are what the variables of a template stand for.
type Values struct {
	Key     string // issue key
	Summary string
	Type    string // issue type: "New Feature"
	Source  string // short name of the source branch
	Display string // display name of the person
}

// variables are the names that a template may use.
var variables = []string{"issuekey", "projectkey", "summary", "issuetype", "sourcebranch", "basebranch", "displayname"}

// Unknown returns the variables in the template that have no meaning, each
// once; they stay empty in names.
func (t Template) Unknown() []string {
	var unknown []string
	for _, p := range t.parts() {
		if name, _, _ := strings.Cut(p.variable, ":"); p.isVariable && !slices.Contains(variables, name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// part is a stretch of literal text or one ${variable}.
type part struct {
	text       string
	variable   string // what stands between the braces, lower case up to a colon
	isVariable bool
}

func (t Template) parts() []part {
	text := t.Text
	if text == "" {
		text = DefaultTemplate
	}
	var parts []part
	for text != "" {
		before, rest, found := strings.Cut(text, "${")
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			break // a brace that is never closed says nothing
		}
		name, arguments, mapped := strings.Cut(inside, ":")
		p := part{variable: strings.ToLower(strings.TrimSpace(name)), isVariable: true}
		if mapped {
			p.variable += ":" + arguments
		}
		parts = append(parts, p)
		text = after
	}
	return parts
}

// Name fills the template. What comes out passes CheckBranchName, unless
// nothing is left, which is "".
func (t Template) Name(v Values) string {
	sep := t.separator()
	var b strings.Builder
	keyEnd := 0 // in b: the name is never cut before this
	for _, p := range t.parts() {
		if !p.isVariable {
			b.WriteString(t.literal(p.text))
			continue
		}
		value := t.value(p.variable, v)
		if value == "" {
			continue
		}
		b.WriteString(value)
		if p.variable == "issuekey" {
			keyEnd = b.Len()
		}
	}
	name := b.String()
	most := t.Max
	if most <= 0 || most > MaxBranchName {
		most = DefaultMaxName
	}
	return tidy(cut(name, keyEnd, most, sep), sep)
}

func (t Template) separator() string {
	switch t.Separator {
	case "_", ".":
		return t.Separator
	}
	return DefaultSeparator
}

// value is what one variable becomes, cleaned.
func (t Template) value(variable string, v Values) string {
	name, arguments, mapped := strings.Cut(variable, ":")
	switch name {
	case "issuekey":
		return t.clean(strings.ToUpper(v.Key))
	case "projectkey":
		project, _, _ := strings.Cut(strings.ToUpper(v.Key), "-")
		return t.clean(project)
	case "summary":
		return t.clean(strings.ToLower(v.Summary))
	case "issuetype":
		if mapped {
			return t.literal(mapType(arguments, v.Type))
		}
		return t.clean(strings.Join(strings.Fields(strings.ToLower(v.Type)), ""))
	case "sourcebranch", "basebranch":
		return t.clean(strings.ToLower(v.Source))
	case "displayname":
		return t.clean(v.Display)
	}
	return ""
}

// mapType finds the word for an issue type in "T0,S0,T1,S1,…[,default]". A
// type without a word, and without a default, is as without a map.
func mapType(arguments, issueType string) string {
	words := strings.Split(arguments, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	for i := 0; i+1 < len(words); i += 2 {
		if strings.EqualFold(words[i], issueType) {
			return words[i+1]
		}
	}
	if len(words)%2 == 1 {
		return words[len(words)-1]
	}
	return strings.Join(strings.Fields(strings.ToLower(issueType)), "")
}

// clean makes an inserted value fit for a name: letters, digits, ".", "_" and
// "-" stay, everything else becomes the separator, runs of which become one.
func (t Template) clean(s string) string {
	sep := t.separator()
	var b strings.Builder
	for _, r := range s {
		if t.keeps(r) {
			b.WriteRune(r)
		} else if t.ASCII && unaccented[r] != "" {
			b.WriteString(unaccented[r])
		} else if !t.ASCII && unicode.Is(unicode.Mn, r) {
			b.WriteRune(r) // an accent that is a character of its own
		} else {
			b.WriteString(sep)
		}
	}
	return strings.Trim(squeeze(b.String(), sep), "-_."+sep)
}

func (t Template) keeps(r rune) bool {
	switch {
	case r == '.' || r == '_' || r == '-':
		return true
	case r < utf8.RuneSelf:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return !t.ASCII && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// literal is text of the template itself: slashes stay, and so does what a
// name may hold; the rest becomes the separator.
func (t Template) literal(s string) string {
	return strings.Map(func(r rune) rune {
		if t.keeps(r) || r == '/' || strings.ContainsRune("+=,#%&!", r) {
			return r
		}
		return rune(t.separator()[0])
	}, s)
}

// squeeze makes runs of the separator one.
func squeeze(s, sep string) string {
	for strings.Contains(s, sep+sep) {
		s = strings.ReplaceAll(s, sep+sep, sep)
	}
	return s
}

// cut shortens a name to most characters, at a separator if one is among the
// last 20 that would stay. The first keep bytes, which hold the key, stay.
func cut(name string, keep, most int, sep string) string {
	end := 0
	for n := 0; n < most && end < len(name); n++ {
		_, size := utf8.DecodeRuneInString(name[end:])
		end += size
	}
	if end < len(name) {
		if i := strings.LastIndex(name[:end], sep); i >= end-20 && i > keep {
			end = i
		}
		name = name[:max(end, keep)]
	}
	for len("refs/heads/")+len(name) > 255 && len(name) > 0 { // bytes of a ref name
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// tidy repairs what joining the parts may have broken: git's rules hold for
// each component and for the whole.
func tidy(name, sep string) string {
	for {
		before := name
		name = squeeze(name, sep)
		name = strings.ReplaceAll(name, "..", ".")
		var parts []string
		for p := range strings.SplitSeq(name, "/") {
			for {
				q := strings.TrimLeft(p, ".")
				q = strings.TrimSuffix(strings.TrimRight(q, "."), ".lock")
				if q == p {
					break
				}
				p = q
			}
			if p = strings.Trim(p, sep); p != "" {
				parts = append(parts, p)
			}
		}
		name = strings.TrimLeft(strings.Join(parts, "/"), "-")
		if name == before {
			break
		}
	}
	if CheckBranchName(name) != nil {
		return ""
	}
	return name
}

// unaccented spells common letters of Latin alphabets in ASCII.
var unaccented = func() map[rune]string {
	m := make(map[rune]string)
	for _, row := range []string{
		"a àáâãåāăą", "ae äæ", "c çćĉċč", "d ďđð", "e èéêëēĕėęě", "g ĝğġģ", "h ĥħ", "i ìíîïĩīĭįı", "j ĵ", "k ķ",
		"l ĺļľŀł", "n ñńņň", "o òóôõøōŏő", "oe öœ", "r ŕŗř", "s śŝşšș", "ss ß", "t ţťŧț", "th þ", "u ùúûũūŭůűų", "ue ü",
		"w ŵ", "y ýÿŷ", "z źżž",
	} {
		ascii, letters, _ := strings.Cut(row, " ")
		for _, r := range letters {
			m[r] = ascii
			if up := unicode.ToUpper(r); up != r && up >= utf8.RuneSelf {
				m[up] = strings.ToUpper(ascii[:1]) + ascii[1:]
			}
		}
	}
	return m
}()
