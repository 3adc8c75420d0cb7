package web

import (
	"bytes"
	"fmt"
	"html/template"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/html"
)

// viewTypes is what each template renders.
var viewTypes = map[string]any{
	"admin_account": accountView{}, "admin_activity": activityView{}, "admin_audit": auditView{}, "admin_connection": connectionView{}, "admin_delivery": deliveryView{},
	"admin_disconnect": disconnectView{}, "admin_doctor": doctorView{}, "admin_features": featuresView{}, "admin_integrations": integrationsView{}, "admin_jira": jiraView{},
	"admin_log": integrationLogView{}, "admin_new": wizardView{}, "admin_policy": policyView{}, "admin_queue": queueView{}, "admin_repositories": adminReposView{},
	"admin_repository": adminRepoView{}, "admin_select": selectView{}, "admin_settings": settingsView{}, "admin_smart": smartView{}, "admin_triggers": triggersView{},
	"admin_oauth": oauthView{}, "admin_webhook": webhookView{}, "admin_webhook_delivery": hookDeliveryView{}, "admin_webhooks": webhooksView{},
	"admin_user": userView{}, "admin_users": usersView{}, "branches": branchesView{}, "commit": commitView{}, "commits": commitsView{}, "compare": compareView{},
	"components_page": componentsView{}, "delete_branch": deleteView{}, "error": errorView{}, "file": fileView{}, "help": helpView{}, "home": homeView{}, "issue": issueView{},
	"link_issues": linkView{}, "login": loginView{}, "new_branch": dialogView{}, "new_pull": dialogView{}, "project": projectView{}, "pull": pullView{}, "pulls": pullsView{},
	"repos": reposView{}, "settings": userView{}, "setup": setupView{}, "tags": tagsView{}, "tree": treeView{},
}

var compared = regexp.MustCompile(`eq (?:\(text )?\$?\.((?:\w+\.)*\w+)\)? "([^"]+)"`)

// Every text that a template can show, in every branch of the template, may
// hold what it will: the page has the same elements and attributes as with a
// harmless text of the same length, and no address runs a script. This is
// complete by construction: views are filled by reflection, and a template
// that is not in the list fails.
func TestEveryFieldHostile(t *testing.T) {
	w := newWorld(t)
	shared, err := templateFiles.ReadFile("templates/components.html")
	w.must(err)
	hostileTexts := append(slices.Clone(payloads), "nul\x00byte", "\xff\xfe<script>alert(1)</script>", "two\nlines<script>alert(1)</script>", "java\nscript:alert(1)", `" autofocus onfocus=alert(1) x="`, "' onmouseover='alert(1)")
	shown := 0
	for name, tmpl := range w.server.pages {
		view, ok := viewTypes[name]
		if !ok {
			t.Errorf("the template %s has no view in viewTypes", name)
			continue
		}
		source, err := templateFiles.ReadFile("templates/" + name + ".html")
		w.must(err)
		// A field that is compared with words takes each of them in turn.
		words := [][2]string{{"", ""}}
		for _, m := range compared.FindAllStringSubmatch(string(source)+string(shared), -1) {
			if pair := [2]string{m[1][strings.LastIndex(m[1], ".")+1:], m[2]}; !slices.Contains(words, pair) {
				words = append(words, pair)
			}
		}
		for _, truth := range []bool{true, false} {
			for _, word := range words {
				if testing.Short() && word[0] != "" {
					continue
				}
				texts := hostileTexts
				if word[0] != "" { // the branch matters here, not the kind of text
					texts = []string{`javascript:alert(1)//"><img src=x onerror=alert(1)>`}
				} else if truth {
					texts = append(slices.Clone(hostileTexts), strings.Repeat("<", 2<<10))
				}
				for _, text := range texts {
					got, addresses, err := skeleton(w.server, tmpl, view, filling{text, truth, word[0], word[1]})
					want, _, err2 := skeleton(w.server, tmpl, view, filling{harmless(text), truth, word[0], word[1]})
					where := fmt.Sprintf("%s with %.40q, %v, %v", name, text, truth, word)
					if err != nil || err2 != nil {
						t.Fatalf("%s: %v, %v", where, err, err2)
					}
					shown++
					if got != want {
						t.Fatalf("%s changes the page:\n%s", where, firstDifference(want, got))
					}
					for _, a := range addresses {
						if scriptURL.MatchString(a) {
							t.Fatalf("%s has an address that runs: %.100q", where, a)
						}
					}
				}
			}
		}
	}
	if shown < len(viewTypes)*2*len(hostileTexts) {
		t.Errorf("only %d pages were rendered", shown)
	}
}

// harmless keeps the shape of a text, and nothing else of it.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == ' ' {
			return r
		}
		return 'x'
	}, text)
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Sprintf("element %d is %q, want %q", i, lb[i], la[i])
		}
	}
	return fmt.Sprintf("%d elements, want %d", len(lb), len(la))
}

// skeleton renders a view that is filled and returns its elements with the
// names of their attributes, one a line, and all addresses.
func skeleton(s *Server, tmpl *template.Template, view any, f filling) (text string, addresses []string, err error) {
	v := reflect.New(reflect.TypeOf(view))
	f.fill(v.Elem(), "", 0)
	var b bytes.Buffer
	if err := tmpl.ExecuteTemplate(&b, "base.html", v.Interface()); err != nil {
		return "", nil, err
	}
	doc, err := html.Parse(bytes.NewReader(visible(b.Bytes())))
	if err != nil {
		return "", nil, err
	}
	var out strings.Builder
	for n := range doc.Descendants() {
		switch n.Type {
		case html.CommentNode:
			out.WriteString("<!--\n")
		case html.ElementNode:
			var names []string
			for _, a := range n.Attr {
				names = append(names, a.Key)
				if a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction" {
					addresses = append(addresses, a.Val)
				}
			}
			slices.Sort(names)
			fmt.Fprintf(&out, "%s %s\n", n.Data, strings.Join(names, " "))
		}
	}
	return out.String(), addresses, nil
}

// A filling is what all fields of a view are set to.
type filling struct {
	text        string
	truth       bool
	field, word string // a field of this name is this word
}

var (
	timeType = reflect.TypeFor[time.Time]()
	htmlType = reflect.TypeFor[template.HTML]()
)

func (f filling) fill(v reflect.Value, name string, depth int) {
	if depth > 9 || v.Type() == htmlType {
		return
	}
	if !v.CanSet() { // fields that are not exported, and what is embedded
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	switch v.Kind() {
	case reflect.String:
		if f.field != "" && name == f.field {
			v.SetString(f.word)
		} else {
			v.SetString(f.text)
		}
	case reflect.Bool:
		v.SetBool(f.truth)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct && depth < 8 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), name, depth+1)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Now().Add(-time.Hour)))
			return
		}
		for i := range v.NumField() {
			f.fill(v.Field(i), v.Type().Field(i).Name, depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(f.text))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), name, depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), name, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, name, depth+1)
		f.fill(value, name, depth+1)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(f.text))
		}
	}
}
