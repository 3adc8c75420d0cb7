package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A describedClient knows of the API nothing but its OpenAPI document: it
// calls operations by id and holds requests and answers against the document's
// schemas.
type describedClient struct {
	t          *testing.T
	base       string
	token      string
	operations map[string]described
	compiler   *jsonschema.Compiler
}

type described struct {
	method, path, pointer string // pointer: JSON pointer of the operation
	Parameters            []struct{ Name, In string }
	RequestBody           map[string]any
	Responses             map[string]struct{ Content map[string]any }
}

const documentURL = "https://ferry.example/openapi.json"

func newDescribedClient(t *testing.T, base, token string) *describedClient {
	t.Helper()
	c := &describedClient{t: t, base: base, token: token, operations: make(map[string]described)}
	_, text := c.send(http.MethodGet, "/openapi.json", nil)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, raw := range item {
			var o struct {
				OperationID string
				described
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			o.method, o.path = strings.ToUpper(method), path
			o.pointer = "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method
			c.operations[o.OperationID] = o.described
		}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c.compiler = jsonschema.NewCompiler()
	c.compiler.DefaultDraft(jsonschema.Draft2020) // that of OpenAPI 3.1
	if err := c.compiler.AddResource(documentURL, value); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *describedClient) send(method, path string, body []byte) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, text
}

// call calls an operation; arguments go where the document says. It returns
// the answer, which must be the described success and fit its schema.
func (c *describedClient) call(id string, arguments map[string]string, body any) map[string]any {
	c.t.Helper()
	o, ok := c.operations[id]
	if !ok {
		c.t.Fatalf("there is no operation %s", id)
	}
	path, query := o.path, []string{}
	for _, p := range o.Parameters {
		v, given := arguments[p.Name]
		switch {
		case p.In == "path" && given:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", v)
		case p.In == "path":
			c.t.Fatalf("%s needs %s", id, p.Name)
		case given:
			query = append(query, p.Name+"="+v)
		}
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
		c.fits(id+" request", o.pointer+"/requestBody/content/application~1json/schema", text)
	}
	status, answer := c.send(o.method, path+"?"+strings.Join(query, "&"), text)
	r, ok := o.Responses[fmt.Sprint(status)]
	if !ok {
		c.t.Fatalf("%s: %d is no described success\n%s", id, status, answer)
	}
	if r.Content == nil {
		return nil
	}
	c.fits(id+" answer", fmt.Sprintf("%s/responses/%d/content/application~1json/schema", o.pointer, status), answer)
	var v map[string]any
	if err := json.Unmarshal(answer, &v); err != nil {
		c.t.Fatal(err)
	}
	return v
}

func (c *describedClient) fits(what, pointer string, text []byte) {
	c.t.Helper()
	schema, err := c.compiler.Compile(documentURL + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		c.t.Errorf("%s does not fit its schema: %v\n%s", what, err, text)
	}
}

// TestDescribedClient goes from an account to an issue with nothing but the
// OpenAPI document: connect, select, reindex, look at the issue; then it asks
// everything that can be asked.
func TestDescribedClient(t *testing.T) {
	dir, ready := startSandbox(t)
	c := newDescribedClient(t, "http://"+ready.HTTP, ready.AdminToken)
	commandsHaveOperations(t, c.operations)
	made := c.call("addIntegration", nil, map[string]any{"region": "us-east-1", "slug": "second", "access_key_id": ready.AWSCredentials["access_key_id"],
		"secret_access_key": ready.AWSCredentials["secret_access_key"], "api_endpoint": ready.CodeCommit, "git_endpoint": ready.CodeCommit, "private_network": true})
	if missed := made["found"].(map[string]any)["unconnected"].([]any); len(missed) != 2 {
		t.Errorf("addIntegration = %v", made)
	}
	c.call("connectRepositories", map[string]string{"slug": "second"}, map[string]any{"repositories": []string{"demo"}})
	demo := map[string]string{"owner": "second", "name": "demo"}
	job := c.call("reindexRepository", demo, nil)
	waitFor(t, "job done", func() bool {
		for _, j := range c.call("listRepositoryJobs", demo, nil)["items"].([]any) {
			if j := j.(map[string]any); j["id"] == job["id"] {
				return j["state"] == "done"
			}
		}
		return false
	})
	linked := c.call("listCommits", map[string]string{"owner": "second", "name": "demo", "filter": "linked", "limit": "1"}, nil)["items"].([]any)
	if len(linked) != 1 {
		t.Fatalf("no linked commit in second/demo")
	}
	first := linked[0].(map[string]any)
	key := first["issues"].([]any)[0].(string)
	commits := c.call("listIssueCommits", map[string]string{"key": key, "limit": "100"}, nil)["items"].([]any)
	found := false
	for _, i := range commits {
		found = found || i.(map[string]any)["oid"] == first["oid"] && i.(map[string]any)["repository"] == "second/demo"
	}
	if !found {
		t.Errorf("%s does not name commit %v", key, first["oid"])
	}
	demo["sha"] = first["oid"].(string)
	waitFor(t, "the commit delivered", func() bool {
		for _, d := range c.call("getCommit", demo, nil)["deliveries"].([]any) {
			if d := d.(map[string]any); d["kind"] == "commit" && d["state"] == "done" {
				return true
			}
		}
		return false
	})
	made = c.call("createBranch", demo, map[string]any{"source": "main", "name": key + "-try", "issue": key})
	branch := made["name"].(string)
	c.opensPullForm(ready, branch)
	arguments := map[string]string{"owner": "second", "name": "demo", "sha": demo["sha"], "key": key, "slug": "second", "user": "alice", "q": "demo",
		"branch": branch, "source": branch, "target": "main", "commit": demo["sha"], "kind": "commit", "id": demo["sha"], "issue": key, "project": strings.Split(key, "-")[0]}
	for id, o := range c.operations {
		if o.method == http.MethodGet && !strings.HasSuffix(o.path, "/events") && id != "openAPI" {
			c.call(id, arguments, nil)
		}
	}
	// A stream that stays open does not hold up the end of the sandbox.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.base+"/api/v1/deliveries/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the sandbox
		defer stream.Body.Close()
		_, _ = io.Copy(io.Discard, stream.Body)
	}()
	if check := c.call("check", nil, nil); check["ok"] != true {
		t.Errorf("check = %v", check)
	}
	if e := c.call("examineCommit", arguments, nil); e["ok"] != true {
		t.Errorf("examineCommit = %v", e)
	}
	// Backups stay on the machine, the latest ten of them.
	backups := filepath.Join(dir, "server", backupsDir)
	for range backupsKept {
		if err := os.MkdirAll(backups, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(backups, "gitferry-2020"+rand.Text()+".tgz"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made = c.call("makeBackup", nil, nil)
	kept, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(kept) != backupsKept {
		t.Errorf("%d backups are kept, want %d; %v", len(kept), backupsKept, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "server", made["file"].(string))); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("makeBackup = %v; %v, %v", made, info, err)
	}
	if check := c.call("checkJira", nil, nil); check["ok"] != true {
		t.Errorf("checkJira = %v", check)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if c.call("removeIntegration", arguments, nil)["removed"] == true {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the integration is not removed after 30 s")
		}
	}
}

// opensPullForm follows the address that Jira got for opening a pull request
// from a branch, as a person who is signed in.
func (c *describedClient) opensPullForm(ready readyFile, branch string) {
	c.t.Helper()
	form := regexp.MustCompile(`"createPullRequestUrl":"([^"]*source=` + regexp.QuoteMeta(branch) + `)"`)
	address := ""
	waitFor(c.t, "the branch delivered", func() bool {
		resp, err := http.Get(ready.Jira + "/_sandbox/state")
		if err != nil {
			c.t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		if m := form.FindStringSubmatch(strings.ReplaceAll(string(text), `\u0026`, "&")); m != nil {
			address = m[1]
		}
		return address != ""
	})
	const password = "purple-monday-kettle"
	c.call("setPassword", map[string]string{"user": "alice"}, map[string]string{"password": password})
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	resp, err := browser.PostForm(c.base+"/login", url.Values{"name": {"alice"}, "password": {password}})
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	if resp, err = browser.Get(address); err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != 200 || !strings.Contains(string(page), "Create pull request") || !strings.Contains(string(page), branch) || strings.Contains(resp.Request.URL.Path, "login") {
		c.t.Errorf("%s leads to %s, %s\n%.2000s", address, resp.Request.URL, resp.Status, page)
	}
}
