package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOpenAPI checks that the served description holds each route once, under
// its own operation id, and that whatever it refers to is there.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	status, _, text := w.ask("", "GET", "/openapi.json", nil)
	if status != 200 {
		t.Fatalf("openapi.json: %d %s", status, text)
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	operations, ids := 0, make(map[string]bool)
	for _, item := range doc.Paths {
		for range item {
			operations++
		}
	}
	for _, r := range v1 {
		if got := doc.Paths[r.path][strings.ToLower(r.method)].OperationID; got != r.id || ids[r.id] {
			t.Errorf("%s %s has the operation id %q, want %q, once", r.method, r.path, got, r.id)
		}
		ids[r.id] = true
		if r.summary == "" || r.id != "openAPI" && neededScopes[r.action] == "" {
			t.Errorf("%s %s lacks a summary, an action, or words for what it needs", r.method, r.path)
		}
	}
	if operations != len(v1) {
		t.Errorf("the description has %d operations, the table %d", operations, len(v1))
	}
	for part := range strings.SplitSeq(string(text), `"$ref":"`) {
		name, ok := strings.CutPrefix(part, "#/components/schemas/")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("nothing is called %s", name)
		}
	}
	if s := doc.Components.Schemas["IntegrationIn"].(map[string]any)["properties"].(map[string]any); s["secret_access_key"] == nil {
		t.Errorf("IntegrationIn = %v", s)
	}
}
