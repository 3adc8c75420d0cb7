package jira

import (
	"encoding/json"
	"testing"
)

// FuzzText checks that any text that the version 2 faces take becomes a valid
// document, and that rendering it back does not fail.
func FuzzText(f *testing.F) {
	for _, s := range []string{"one", "a\n\nb\r\nc", " \n x", "h1. t\n* l\n{code}\nx\n{code}", "\x00\u2028", "\r", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := fromWiki(s)
		if err := ValidateADF(got.adf); err != nil {
			t.Errorf("%q becomes %s: %v", s, got.adf, err)
		}
		var doc node
		if err := json.Unmarshal(got.adf, &doc); err != nil {
			t.Fatal(err)
		}
		doc.wiki()
	})
}

// FuzzSubmission checks that no body breaks the reading of a submission.
func FuzzSubmission(f *testing.F) {
	f.Add([]byte(`{"repositories":[{"id":"r","name":"r","url":"http://h/","updateSequenceId":1,"commits":[null,{"id":"c"}],"branches":[{"lastCommit":{}}],"pullRequests":[{}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in devBody
		if json.Unmarshal(raw, &in) == nil {
			in.check()
		}
	})
}

// FuzzNative checks that the native processor's reading never fails.
func FuzzNative(f *testing.F) {
	for _, s := range []string{"DEMO-1 #time 1h #comment x", "DEMO-1,OPS-2 #done", "#x DEMO-1#y", "Ä-1 DÄ-2 #\u2060comment"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { nativeActions(s) })
}
