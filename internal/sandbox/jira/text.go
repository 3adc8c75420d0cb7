package jira

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// adfSchema is the Atlassian Document Format as JSON Schema draft-04, from the
// package @atlaskit/adf-schema 57.7.22, json-schema/v1/full.json (Apache-2.0).
//
//go:embed adf.schema.json
var adfSchema []byte

var compiledADF = sync.OnceValue(func() *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(adfSchema))
	if err != nil {
		panic(fmt.Sprintf("the embedded schema is not JSON: %v", err)) // a fixed file
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("adf.json", doc); err != nil {
		panic(fmt.Sprintf("the embedded schema does not load: %v", err)) // a fixed file
	}
	return c.MustCompile("adf.json")
})

// ValidateADF checks that raw is a document in the Atlassian Document Format.
// The error says where it is not.
func ValidateADF(raw []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading the document: %w", err)
	}
	if err := compiledADF().Validate(v); err != nil {
		return fmt.Errorf("validating the document: %w", err)
	}
	return nil
}

// maxText is the most characters of a comment (default of
// jira.text.field.character.limit; Cloud has the same number).
const maxText = 32767

// readText reads rich text in the form of the face.
func (c *call) readText(field string, raw json.RawMessage) (text, error) {
	if !c.face.adf {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return text{}, refuse(http.StatusBadRequest, "INVALID_INPUT: %s must be a string", field)
		}
		if strings.TrimSpace(s) == "" {
			return text{}, refuseField(field, "Comment body can not be empty!")
		}
		if n := len([]rune(s)); n > maxText {
			return text{}, tooLong(field)
		}
		return fromWiki(s), nil
	}
	if err := ValidateADF(raw); err != nil {
		return text{}, refuseField(field, "Comment body is not valid!")
	}
	var doc node
	if err := json.Unmarshal(raw, &doc); err != nil {
		return text{}, refuseField(field, "Comment body is not valid!")
	}
	t := text{adf: raw, wiki: doc.wiki()}
	if len([]rune(t.wiki)) > maxText {
		return text{}, tooLong(field)
	}
	return t, nil
}

func tooLong(field string) error {
	return refuseField(field, "The entered text is too long. It exceeds the allowed limit of 32,767 characters.")
}

// A node is one element of an ADF document.
type node struct {
	Type    string         `json:"type"`
	Version int            `json:"version,omitempty"`
	Text    string         `json:"text,omitempty"`
	Attrs   map[string]any `json:"attrs,omitempty"`
	Marks   []node         `json:"marks,omitempty"`
	Content []node         `json:"content,omitempty"`
}

// wiki renders a document as wiki markup, as the version 2 faces show it.
func (n node) wiki() string {
	var b strings.Builder
	n.write(&b, "")
	return strings.TrimRight(b.String(), "\n")
}

func (n node) write(b *strings.Builder, bullet string) {
	switch n.Type {
	case "text":
		b.WriteString(marked(n))
		return
	case "hardBreak":
		b.WriteString("\n")
		return
	case "emoji", "mention", "status", "date", "inlineCard":
		for _, k := range []string{"text", "shortName", "url", "timestamp"} {
			if s, is := n.Attrs[k].(string); is {
				b.WriteString(s)
				return
			}
		}
		return
	case "bulletList":
		bullet += "*"
	case "orderedList":
		bullet += "#"
	case "listItem":
		b.WriteString(bullet + " ")
	case "heading":
		fmt.Fprintf(b, "h%v. ", n.Attrs["level"])
	case "codeBlock":
		b.WriteString("{code}\n")
	case "rule":
		b.WriteString("----")
	}
	for _, child := range n.Content {
		child.write(b, bullet)
	}
	switch n.Type {
	case "codeBlock":
		b.WriteString("\n{code}\n")
	case "paragraph", "heading", "rule":
		b.WriteString("\n")
	}
}

func marked(n node) string {
	s := n.Text
	for _, m := range n.Marks {
		switch m.Type {
		case "link":
			s = fmt.Sprintf("[%s|%v]", s, m.Attrs["href"])
		case "strong":
			s = "*" + s + "*"
		case "em":
			s = "_" + s + "_"
		case "code":
			s = "{{" + s + "}}"
		}
	}
	return s
}

// fromWiki makes a text of wiki markup. Its document holds the lines as they
// are, one paragraph for each block between empty lines; the markup is not
// interpreted.
func fromWiki(s string) text {
	doc := node{Type: "doc", Version: 1}
	block := node{Type: "paragraph"}
	end := func() {
		if len(block.Content) > 0 {
			doc.Content = append(doc.Content, block)
		}
		block = node{Type: "paragraph"}
	}
	for line := range strings.Lines(strings.ReplaceAll(s, "\r\n", "\n")) {
		line = strings.TrimRight(line, "\n")
		if strings.TrimSpace(line) == "" {
			end()
			continue
		}
		if len(block.Content) > 0 {
			block.Content = append(block.Content, node{Type: "hardBreak"})
		}
		block.Content = append(block.Content, node{Type: "text", Text: line})
	}
	end()
	if len(doc.Content) == 0 {
		doc.Content = []node{block} // a document needs at least one element
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("encoding a document: %v", err)) // strings and numbers only
	}
	return text{adf: raw, wiki: s}
}
