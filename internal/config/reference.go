package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// WriteReference writes docs/configuration.md: every key with its variable,
// type, default and meaning, in the order of Config.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(intro)
	section := ""
	for _, k := range Keys() {
		if isListKey(k) {
			continue
		}
		name, _, nested := cutLast(k.Path)
		if !nested {
			name = "General"
		}
		if name != section {
			fmt.Fprintf(&b, "\n## %s\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n", name)
			section = name
		}
		row(&b, k.Path, k)
	}
	b.WriteString(listIntro)
	root := reflect.TypeFor[Config]()
	for i := range root.NumField() {
		f := root.Field(i)
		if !isList(f.Type) {
			continue
		}
		fmt.Fprintf(&b, "\n### %s[]\n\n%s\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n", f.Tag.Get("key"), f.Tag.Get("doc"))
		walk(reflect.New(f.Type.Elem()).Elem(), "", func(f field) {
			row(&b, f.path, Key{Type: typeName(f.value.Type()), Doc: f.doc})
		})
	}
	b.WriteString(variablesIntro)
	for _, k := range Keys() {
		fmt.Fprintf(&b, "%s\n", k.Variable)
	}
	b.WriteString("```\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, name string, k Key) {
	value := k.Default
	if value != "" {
		value = "`" + value + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, k.Type, value, strings.ReplaceAll(k.Doc, "|", `\|`))
}

func isListKey(k Key) bool { return k.Type == typeName(reflect.TypeFor[[]User]()) }

// cutLast splits a path at its last dot.
func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return path, "", false
	}
	return path[:i], path[i+1:], true
}

const intro = `# Configuration

This page is made from the settings' own descriptions (internal/config); a
test keeps it in step. After a change:

    go test ./internal/config -run TestReference -update

gitferry reads one YAML file: the one named with ` + "`--config`" + `, else
` + "`gitferry.yaml`" + ` in the working directory, else none. No key is needed. An
unknown key, a key given twice and a value that makes no sense are errors; they
are shown together, with line and column. Anchors, aliases and tags are not
supported. An empty value (` + "`key:`" + `) leaves the default.

Every key can come from the environment, which wins over the file: write
` + "`GITFERRY_`" + `, then the key in capitals with an underscore for each dot.
` + "`http.listen`" + ` is ` + "`GITFERRY_HTTP_LISTEN`" + `. A list is written with commas between its
parts; a list of items (integrations, users, grants) as YAML. A secret can be
read from a file: ` + "`GITFERRY_JIRA_API_TOKEN_FILE=/run/secrets/jira`" + `, or
` + "`jira.api_token_file`" + ` in the file; line ends at its end are dropped.

| Type | Written as |
|---|---|
| text | as it is; quote it where YAML would read something else |
| true or false | ` + "`true`, `false`" + ` |
| number | a whole number |
| duration | a number with a unit, several in a row if need be: ` + "`500ms`, `3s`, `1m30s`, `2h`, `14d`" + ` |
| size | bytes, or a whole number with a unit: ` + "`65536`, `512KiB`, `1MiB`, `2GiB`, `2GB`" + ` |
| list | ` + "`[a, b]`" + `; in a variable ` + "`a,b`" + ` |
| secret | text that is never shown, logged or part of an error |

Names of files are relative to the working directory.
`

const listIntro = `
## Integrations, users and grants

They are data, made in the pages, the API or the command line. For machines
that are set up by script they may be given here as well; what is given here
is added at start where it is missing, and never changes what is there.
`

const variablesIntro = "\n## Variables\n\n```\n"
