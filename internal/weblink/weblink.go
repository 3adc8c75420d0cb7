// Package weblink makes the addresses of a single repository's pages at its
// own host, from templates that an administrator gives.
//
// The idea: a template is an address with placeholders such as ${rev}, whose
// values are escaped as the parts of a path that they stand for; what comes
// out is an http or https address or nothing. "<…>" marks in a provider's
// templates what the administrator has to replace.
//
// The pages and the API use it for repositories of no AWS account; those have
// links of package codecommit. It asks nobody and keeps nothing.
package weblink

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

// Templates are the addresses of a host's pages; empty ones are not linked.
type Templates struct {
	View      string `json:"view,omitempty"` // taken over from the reference product, which does not use it either
	Changeset string `json:"changeset,omitempty"`
	Added     string `json:"file_added,omitempty"`
	Modified  string `json:"file_modified,omitempty"`
	Deleted   string `json:"file_deleted,omitempty"`
	Branch    string `json:"branch,omitempty"`
	Tag       string `json:"tag,omitempty"`
	Merge     string `json:"merge_request,omitempty"`
}

// A Field is one template with the name that people see.
type Field struct {
	ID, Name string
	Value    *string
}

// Fields returns the templates of t in the order of forms.
func (t *Templates) Fields() []Field {
	return []Field{
		{"view", "View Format", &t.View},
		{"changeset", "Changeset Format", &t.Changeset},
		{"file_added", "File Added Format", &t.Added},
		{"file_modified", "File Modified Format", &t.Modified},
		{"file_deleted", "File Deleted Format", &t.Deleted},
		{"branch", "Branch Format", &t.Branch},
		{"tag", "Tag Format", &t.Tag},
		{"merge_request", "Merge Request Format", &t.Merge},
	}
}

// maxTemplate bounds one template, in bytes.
const maxTemplate = 2000

// Parse reads what String wrote; an empty text is no templates. It fails with
// ferry.ErrInvalid as Check does.
func Parse(text string) (Templates, error) {
	var t Templates
	if text == "" {
		return t, nil
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return t, invalid("web links: not readable")
	}
	return t, t.Check()
}

// String returns t as text, empty without templates.
func (t Templates) String() string {
	if t == (Templates{}) {
		return ""
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings only
	}
	return string(b)
}

var (
	converted   = regexp.MustCompile(`\$convert\(\$\{([^}]*)\},"([^"]*)","([^"]*)"\)`)
	placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)
)

// names are the placeholders that a template may hold.
var names = map[string]bool{"rev": true, "parent": true, "path": true, "num": true, "blob": true, "parent_blob": true, "branch": true,
	"branchname": true, "tagname": true, "mergereqId": true, "sha256path": true, "sha1path": true, "md5": true}

// Check fails with ferry.ErrInvalid, naming the field, if a template holds
// something left to replace, a placeholder that is not known, or is no http or
// https address.
func (t Templates) Check() error {
	for _, f := range t.Fields() {
		v := *f.Value
		if v == "" {
			continue
		}
		u, err := url.Parse(placeholder.ReplaceAllString(converted.ReplaceAllString(v, "x"), "x"))
		switch {
		case len(v) > maxTemplate:
			return invalid("%s: longer than %d characters", f.Name, maxTemplate)
		case strings.ContainsAny(v, "<>"):
			return invalid("%s: replace what stands between < and >", f.Name)
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Contains(u.Host, "$"):
			return invalid("%s: want an address that begins with https://HOST", f.Name)
		case strings.Contains(v[:strings.Index(v, "://")+3+len(u.Host)], "$"):
			return invalid("%s: the host cannot be a placeholder", f.Name)
		}
		for _, m := range placeholder.FindAllStringSubmatch(v, -1) {
			if !names[m[1]] {
				return invalid("%s: there is no placeholder ${%.40s}", f.Name, m[1])
			}
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf(format, args...)}
}

// expand fills a template in. Values are escaped segment by segment; what is
// not known is empty.
func expand(template string, values map[string]string) string {
	if template == "" {
		return ""
	}
	template = converted.ReplaceAllStringFunc(template, func(s string) string {
		m := converted.FindStringSubmatch(s)
		return escape(strings.ReplaceAll(values[m[1]], m[2], m[3]))
	})
	template = placeholder.ReplaceAllStringFunc(template, func(s string) string {
		return escape(values[placeholder.FindStringSubmatch(s)[1]])
	})
	u, err := url.Parse(template)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return template
}

// escape encodes each segment of a path or name and keeps the slashes. What
// separates parts of a query is encoded as well.
func escape(s string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = strings.NewReplacer("&", "%26", ";", "%3B", "=", "%3D", "+", "%2B", "$", "%24").Replace(url.PathEscape(parts[i]))
	}
	return strings.Join(parts, "/")
}

// Links makes addresses of one repository. The zero Links makes empty strings.
type Links struct{ t Templates }

// Links returns the links that t makes.
func (t Templates) Links() Links { return Links{t} }

// Repository is empty: no template leads to the host's own page.
func (l Links) Repository() string { return "" }

// Commit is the page of a commit by its full id.
func (l Links) Commit(id string) string {
	return expand(l.t.Changeset, map[string]string{"rev": id})
}

// Branch is the page of a branch; name is short.
func (l Links) Branch(name string) string {
	return expand(l.t.Branch, map[string]string{"branch": name, "branchname": name})
}

// Tag is the page of a tag; name is short.
func (l Links) Tag(name string) string { return expand(l.t.Tag, map[string]string{"tagname": name}) }

// PullRequest is the page of a pull request by its number.
func (l Links) PullRequest(number string) string {
	return expand(l.t.Merge, map[string]string{"mergereqId": number})
}

// A File is a file as a commit left it.
type File struct {
	Commit, Parent   string // full ids; Parent: the first one, if there is one
	Path             string
	Num              int    // index of the change in the commit, from 0
	Blob, ParentBlob string // ids, if they are known
	Change           rune   // 'A' added, 'D' deleted, else modified
}

// File is the page of a file.
func (l Links) File(f File) string {
	template := l.t.Modified
	switch f.Change {
	case 'A':
		template = l.t.Added
	case 'D':
		template = l.t.Deleted
	}
	sum256, sum1, sum5 := sha256.Sum256([]byte(f.Path)), sha1.Sum([]byte(f.Path)), md5.Sum([]byte(f.Path))
	return expand(template, map[string]string{"rev": f.Commit, "parent": f.Parent, "path": f.Path, "num": fmt.Sprint(f.Num),
		"blob": f.Blob, "parent_blob": f.ParentBlob,
		"sha256path": hex.EncodeToString(sum256[:]), "sha1path": hex.EncodeToString(sum1[:]), "md5": hex.EncodeToString(sum5[:])})
}
