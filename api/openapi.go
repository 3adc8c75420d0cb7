package api

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// openAPI answers with the description of the API.
func (s *Server) openAPI(*call) (map[string]any, error) { return s.document, nil }

// describe makes the OpenAPI 3.1 description of routes from the table and the
// types of its handlers.
func describe(routes []route) map[string]any {
	defs := make(map[string]any)
	paths := make(map[string]any)
	for _, r := range routes {
		item, _ := paths[r.path].(map[string]any)
		if item == nil {
			item = make(map[string]any)
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = operation(r, defs)
	}
	defs["Problem"] = schema(reflect.TypeFor[problem](), defs, true)
	return map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "gitferry", "version": "1", "description": "Administration of gitferry, and its index of commits and issues."},
		"servers": []any{map[string]any{"url": "/api/v1"}},
		"paths":   paths,
		"components": map[string]any{"schemas": defs,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}}},
	}
}

// neededScopes says in words which token an action needs.
var neededScopes = map[ferry.Action]string{
	ferry.ActionRead:     "Needs read on the repository.",
	ferry.ActionPush:     "Needs write on the repository and the scope repo:write.",
	ferry.ActionMaintain: "Needs admin on the repository and the scope api:admin.",
	ferry.ActionAPIRead:  "Needs the scope api:read or api:admin.",
	ferry.ActionSelf:     "Needs the scope api:admin.",
	ferry.ActionAdmin:    "Needs an administrator and the scope api:admin.",
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

func operation(r route, defs map[string]any) map[string]any {
	parameters := []any{}
	for _, m := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, q := range r.query {
		kind := "string"
		if q.name == "limit" {
			kind = "integer"
		}
		parameters = append(parameters, map[string]any{"name": q.name, "in": "query", "description": q.doc, "schema": map[string]any{"type": kind}})
	}
	success := map[string]any{"description": http.StatusText(r.status)}
	switch {
	case r.stream != nil:
		success["content"] = map[string]any{"text/event-stream": map[string]any{"schema": map[string]any{"type": "string"}}}
	case r.out != nil:
		success["content"] = jsonContent(schema(r.out, defs, false))
	}
	o := map[string]any{
		"operationId": r.id, "summary": r.summary, "parameters": parameters,
		"responses": map[string]any{
			statusText(r.status): success,
			"default": map[string]any{"description": "An error", "content": map[string]any{
				"application/problem+json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Problem"}}}},
		},
	}
	if r.in != nil {
		o["requestBody"] = map[string]any{"required": true, "content": jsonContent(schema(r.in, defs, false))}
	}
	if r.action != "" {
		o["security"] = []any{map[string]any{"token": []any{}}}
		o["description"] = neededScopes[r.action]
	}
	return o
}

func statusText(code int) string {
	b, _ := json.Marshal(code) // an int always works
	return string(b)
}

func jsonContent(s any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": s}}
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
)

// schema describes a type as encoding/json writes it. Named structs go to
// defs, unless inline.
func schema(t reflect.Type, defs map[string]any, inline bool) map[string]any {
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType:
		return map[string]any{}
	case t.Kind() != reflect.Pointer && t.Implements(jsonMarshaler):
		return map[string]any{"type": "object"}
	case t.Implements(textMarshaler):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := schema(t.Elem(), defs, false)
		if kind, ok := s["type"].(string); ok {
			s["type"] = []any{kind, "null"}
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schema(t.Elem(), defs, false)}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return map[string]any{"type": "object"}
		}
		return map[string]any{"type": "object", "additionalProperties": schema(t.Elem(), defs, false)}
	case reflect.Struct:
		if inline || strings.Contains(t.Name(), "[") { // a page of something
			return object(t, defs)
		}
		name := schemaName(t)
		if _, ok := defs[name]; !ok {
			defs[name] = map[string]any{} // ends recursion
			defs[name] = object(t, defs)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	panic("type " + t.String() + " has no place in the API") // a slip of whoever wrote a wire type
}

// schemaName is unique over packages: doctor.Repository is DoctorRepository.
func schemaName(t reflect.Type) string {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if p := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]; p != "api" {
		name = strings.ToUpper(p[:1]) + p[1:] + name
	}
	return name
}

func object(t reflect.Type, defs map[string]any) map[string]any {
	properties := make(map[string]any)
	required := []any{}
	addFields(t, defs, properties, &required)
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func addFields(t reflect.Type, defs, properties map[string]any, required *[]any) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, hasTag := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && !hasTag:
			addFields(f.Type, defs, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		properties[name] = schema(f.Type, defs, false)
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}
