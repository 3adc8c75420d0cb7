package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// A Key is one setting that the file and the environment may give.
type Key struct {
	Path     string // as in the file, parts joined by dots: "http.listen"
	Variable string // "GITFERRY_HTTP_LISTEN"
	Type     string // for people: "text", "duration", "list of text", "yes or no", …
	Default  string // as it may be written in the file; empty for none
	Doc      string // a sentence or two
}

// Keys returns every setting in the order of the file. What stands inside the
// items of a list, such as integrations, is not among them: a variable holds
// the whole list, as YAML.
func Keys() []Key {
	var keys []Key
	walk(reflect.ValueOf(Default()).Elem(), "", func(f field) {
		keys = append(keys, Key{
			Path: f.path, Variable: variable(f.path), Type: typeName(f.value.Type()),
			Default: show(f.value), Doc: f.doc,
		})
	})
	return keys
}

// variable returns the name of the environment variable for a key.
func variable(path string) string {
	return "GITFERRY_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// A field is a setting found in the struct.
type field struct {
	path  string
	value reflect.Value
	doc   string
}

// walk calls visit for every setting below the struct s, in order.
func walk(s reflect.Value, prefix string, visit func(field)) {
	for i := range s.NumField() {
		t := s.Type().Field(i)
		if !t.IsExported() {
			continue
		}
		path := prefix + t.Tag.Get("key")
		if isSection(t.Type) {
			walk(s.Field(i), path+".", visit)
			continue
		}
		visit(field{path, s.Field(i), docOf(s.Type(), t)})
	}
}

// docOf returns a field's sentence, with the values it may take in front. A
// key that ends in _file explains itself.
func docOf(parent reflect.Type, t reflect.StructField) string {
	doc := t.Tag.Get("doc")
	if secret, ok := strings.CutSuffix(t.Name, "File"); ok && isSecret(parent, secret) {
		return "File to read " + strings.TrimSuffix(t.Tag.Get("key"), "_file") + " from, instead of giving it here."
	}
	if values, ok := t.Tag.Lookup("oneof"); ok {
		return "One of " + list(strings.Split(strings.TrimPrefix(values, "|"), "|")) + ". " + doc
	}
	return doc
}

func isSecret(parent reflect.Type, name string) bool {
	f, ok := parent.FieldByName(name)
	return ok && f.Type == secretType
}

var secretType = reflect.TypeFor[ferry.Secret]()

// isSection reports whether a type has keys of its own below it.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType
}

// isList reports whether a type is a list of sections.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && isSection(t.Elem())
}

// setText gives the setting v the value written as text. The error says what
// is wrong with it and what to write; for a secret it does not show it.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == secretType:
		v.Set(reflect.ValueOf(ferry.NewSecret(text)))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		switch text {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return fmt.Errorf("%.40q is neither true nor false", text)
		}
	case v.Kind() == reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%.40q is no whole number", text)
		}
		v.SetInt(n)
	default:
		panic("config: field of type " + v.Type().String()) // a new kind of field needs a case here
	}
	return nil
}

// show returns a setting as it may be written in the file, empty for an empty
// text, list or secret.
func show(v reflect.Value) string {
	if v.Type() == secretType || v.Kind() == reflect.Slice && v.Len() == 0 {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// typeName says for people what a setting of type t holds.
func typeName(t reflect.Type) string {
	switch {
	case t == secretType:
		return "secret"
	case t == reflect.TypeFor[Duration]():
		return "duration"
	case t == reflect.TypeFor[Size]():
		return "size"
	case isList(t):
		return "list of items"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int64:
		return "number"
	}
	return "text"
}

// list writes words as people do: "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
