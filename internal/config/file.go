package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A reader puts the values of a YAML text into the struct. It collects faults
// and goes on, so that one start shows them all.
type reader struct {
	name    string            // of the text, for places: a file or a variable
	sources map[string]string // place of each key that was read
	faults  *faults
}

// read reads text into v, which stands at path; path is empty for a whole
// file.
func (r *reader) read(text []byte, v reflect.Value, path string) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil {
			p := at.GetToken().Position
			r.faults.add(fmt.Sprintf("%s:%d:%d", r.name, p.Line, p.Column), "", "this is not YAML: "+at.GetMessage())
		} else {
			r.faults.add(r.name, "", "this is not YAML")
		}
		return
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			r.fault(doc.Body, "", "a second document; one file holds one")
			return
		}
		body = doc.Body
	}
	if body != nil {
		r.node(body, v, path)
	}
}

// node reads one node into v. An empty value leaves v as it is.
func (r *reader) node(n ast.Node, v reflect.Value, path string) {
	if n == nil || n.Type() == ast.NullType {
		return
	}
	if path != "" {
		r.sources[path] = r.place(n)
	}
	switch {
	case isSection(v.Type()):
		r.section(n, v, path)
	case v.Kind() == reflect.Slice:
		r.list(n, v, path)
	default:
		text, ok := scalar(n)
		if !ok {
			r.fault(n, path, "want a single value here, found "+kind(n))
			return
		}
		if err := setText(v, text); err != nil {
			r.fault(n, path, err.Error())
		}
	}
}

// section reads the keys of a mapping into the fields of the struct v.
func (r *reader) section(n ast.Node, v reflect.Value, path string) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode: // a mapping of one key
		pairs = []*ast.MappingValueNode{n}
	default:
		r.fault(n, path, "want keys with values here, found "+kind(n))
		return
	}
	fields, known := map[string]int{}, []string{}
	for i := range v.NumField() {
		if t := v.Type().Field(i); t.IsExported() {
			fields[t.Tag.Get("key")] = i
			known = append(known, t.Tag.Get("key"))
		}
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		key, ok := scalar(pair.Key)
		if !ok {
			r.fault(pair.Key, path, "want a plain key here; merge keys, anchors and aliases are not supported")
			continue
		}
		sub := join(path, key)
		i, ok := fields[key]
		switch {
		case !ok:
			r.fault(pair.Key, sub, unknownKey(key, known))
		case seen[key]:
			r.fault(pair.Key, sub, "given twice; keep one")
		default:
			r.node(pair.Value, v.Field(i), sub)
		}
		seen[key] = true
	}
}

// list reads a sequence into the slice v, which it replaces.
func (r *reader) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(n, path, "want a list here, such as [a, b], found "+kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if item == nil || item.Type() == ast.NullType {
			r.fault(n, sub, "empty item; take it out")
			continue
		}
		r.node(item, v.Index(i), sub)
	}
}

func (r *reader) fault(n ast.Node, path, text string) { r.faults.add(r.place(n), path, text) }

// place returns where a node begins, as "NAME:LINE:COLUMN".
func (r *reader) place(n ast.Node) string {
	for {
		m, ok := n.(*ast.MappingNode)
		if !ok || len(m.Values) == 0 || m.IsFlowStyle {
			break
		}
		n = m.Values[0]
	}
	if pair, ok := n.(*ast.MappingValueNode); ok {
		n = pair.Key // its own token is the colon
	}
	p := n.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", r.name, p.Line, p.Column)
}

// scalar returns the text of a single value as it was written, so that 0123
// stays 0123 where text is wanted.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func kind(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "keys with values"
	case ast.SequenceType:
		return "a list"
	case ast.AnchorType, ast.AliasType:
		return "an anchor or alias, which is not supported"
	case ast.TagType:
		return "a tag, which is not supported"
	}
	return "a single value"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// unknownKey says that key is unknown and names the nearest known one, or all
// of them.
func unknownKey(key string, known []string) string {
	for _, k := range known {
		if distance(strings.ToLower(key), k) <= 2 {
			return "unknown key; did you mean " + k + "?"
		}
	}
	return "unknown key; known here: " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions and replacements of bytes between
// a and b (Levenshtein). Both are short.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
