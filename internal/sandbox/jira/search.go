package jira

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The part of JQL that the stand-in knows: one clause on issue keys, projects
// or the words of summaries, and an order that is always that of the ids.
var (
	jqlSummary = regexp.MustCompile(`(?is)^\s*summary\s*~\s*"([^"\\]*)"\s*$`)
	jqlOrder   = regexp.MustCompile(`(?i)\s*\border\s+by\b.*$`)
	jqlClause  = regexp.MustCompile(`(?is)^\s*(key|issuekey|issue|id|project)\s*(=|in)\s*(.*?)\s*$`)
)

// find answers a query. missing holds the keys that name no issue.
func (st *site) find(jql string) (found []*issue, missing []string, err error) {
	jql = jqlOrder.ReplaceAllString(jql, "")
	if m := jqlSummary.FindStringSubmatch(jql); m != nil {
		return st.findWords(strings.Fields(m[1])), nil, nil
	}
	m := jqlClause.FindStringSubmatch(jql)
	if m == nil {
		return nil, nil, refuse(http.StatusBadRequest, "Error in the JQL Query: this site answers queries of the forms 'key in (A-1, B-2)', 'project = A' and 'summary ~ \"words\"' only.")
	}
	list := m[3]
	if strings.EqualFold(m[2], "in") {
		if list = strings.TrimSuffix(strings.TrimPrefix(m[3], "("), ")"); len(list) != len(m[3])-2 {
			return nil, nil, refuse(http.StatusBadRequest, "Error in the JQL Query: expecting '(' and ')' after 'in'.")
		}
	}
	for word := range strings.SplitSeq(list, ",") {
		word = strings.Trim(strings.TrimSpace(word), `"'`)
		if word == "" {
			return nil, nil, refuse(http.StatusBadRequest, "Error in the JQL Query: expecting a value.")
		}
		if strings.EqualFold(m[1], "project") {
			p := st.project(word)
			if p == nil {
				missing = append(missing, fmt.Sprintf("The value '%s' does not exist for the field 'project'.", word))
				continue
			}
			for _, is := range st.issues {
				if is.project == p {
					found = append(found, is)
				}
			}
		} else if is := st.issue(word); is != nil {
			found = append(found, is)
		} else {
			missing = append(missing, fmt.Sprintf("An issue with key '%s' does not exist for field 'key'.", word))
		}
	}
	slices.SortFunc(found, func(a, b *issue) int { return int(a.id - b.id) })
	return slices.Compact(found), missing, nil
}

// findWords returns the issues whose summary holds all words; one that ends
// with a star is the beginning of a word.
func (st *site) findWords(words []string) (found []*issue) {
	for _, is := range st.issues {
		of := strings.Fields(strings.ToLower(is.summary))
		if !slices.ContainsFunc(words, func(w string) bool {
			part, open := strings.CutSuffix(strings.ToLower(w), "*")
			return !slices.ContainsFunc(of, func(word string) bool { return word == part || open && strings.HasPrefix(word, part) })
		}) {
			found = append(found, is)
		}
	}
	slices.SortFunc(found, func(a, b *issue) int { return int(a.id - b.id) })
	return found
}

// A search is the body or the query of a search on either edition.
type search struct {
	JQL        string          `json:"jql"`
	Fields     []string        `json:"fields"`
	Properties []string        `json:"properties"`
	Max        *int            `json:"maxResults"`
	Start      int             `json:"startAt"`
	Token      string          `json:"nextPageToken"`
	Validate   json.RawMessage `json:"validateQuery"`
}

func (c *call) readSearch() (search, error) {
	var in search
	if c.r.Method == http.MethodPost {
		return in, c.decode(&in)
	}
	in.JQL, in.Token = c.query("jql"), c.query("nextPageToken")
	for _, f := range c.r.URL.Query()["fields"] {
		in.Fields = append(in.Fields, splitFields(f)...)
	}
	in.Properties = splitFields(c.query("properties"))
	if v := c.query("validateQuery"); v != "" {
		in.Validate = json.RawMessage(strconv.Quote(v))
	}
	n, err := c.number("maxResults", 50)
	if err != nil {
		return in, err
	}
	in.Max = &n
	in.Start, err = c.number("startAt", 0)
	return in, err
}

// searchCloud answers /search/jql: no total, a token for the next page, and a
// refusal of the whole query if one key is unknown.
func searchCloud(c *call) (reply, error) {
	in, err := c.readSearch()
	if err != nil {
		return reply{}, err
	}
	size := 50
	if in.Max != nil {
		size = *in.Max
	}
	if size < 1 || size > 5000 {
		return reply{}, refuse(http.StatusBadRequest, "maxResults must be 1 to 5000.")
	}
	start := 0
	if in.Token != "" {
		if start, err = strconv.Atoi(strings.TrimPrefix(in.Token, "at-")); err != nil || start < 0 {
			return reply{}, refuse(http.StatusBadRequest, "The nextPageToken is not valid.")
		}
	}
	found, missing, err := c.st.find(in.JQL)
	if err != nil {
		return reply{}, err
	}
	if len(missing) > 0 {
		return reply{}, &refusal{status: http.StatusBadRequest, body: errorCollection{missing, map[string]string{}}}
	}
	list := []any{}
	for _, is := range cutPage(found, start, size) {
		o := c.viewIssue(is, in.Fields)
		if len(in.Fields) == 0 || slices.Equal(in.Fields, []string{"id"}) {
			o = object{"id": strconv.FormatInt(is.id, 10)}
		}
		withProperties(o, is, in.Properties)
		list = append(list, o)
	}
	o := object{"issues": list, "isLast": start+size >= len(found)}
	if start+size < len(found) {
		o["nextPageToken"] = fmt.Sprintf("at-%d", start+size)
	}
	return ok(o), nil
}

// searchDC answers /search of Data Center: with validateQuery false, unknown
// keys become warnings.
func searchDC(c *call) (reply, error) {
	in, err := c.readSearch()
	if err != nil {
		return reply{}, err
	}
	size := 50
	if in.Max != nil {
		size = min(max(*in.Max, 0), 1000) // jira.search.views.default.max
	}
	found, missing, err := c.st.find(in.JQL)
	if err != nil {
		return reply{}, err
	}
	lenient := string(in.Validate) == "false" || string(in.Validate) == `"false"`
	if len(missing) > 0 && !lenient {
		return reply{}, &refusal{status: http.StatusBadRequest, body: errorCollection{missing, map[string]string{}}}
	}
	if len(in.Fields) == 0 {
		in.Fields = []string{"*navigable", "-comment", "-worklog"}
	}
	list := []any{}
	for _, is := range cutPage(found, max(in.Start, 0), size) {
		list = append(list, c.viewIssue(is, in.Fields))
	}
	o := object{"startAt": in.Start, "maxResults": size, "total": len(found), "issues": list}
	if len(missing) > 0 {
		o["warningMessages"] = missing
	}
	return ok(o), nil
}
