package jira

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNativeReadsAsPublished holds the native processor's reading against the
// examples that say what Atlassian's published parser does.
func TestNativeReadsAsPublished(t *testing.T) {
	raw, err := os.ReadFile("testdata/smart-commit-examples.json")
	if err != nil {
		t.Fatal(err)
	}
	type action struct{ Issue, Type, Text, Time, Command string }
	var file struct {
		Examples []struct {
			ID, Message string
			Kind        string
			Actions     []action
			Native      *[]action `json:"jiraNative"`
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, e := range file.Examples {
		if e.Kind == "branch" {
			continue
		}
		expected := e.Actions
		if e.Native != nil {
			expected = *e.Native
		}
		want, got := []string{}, []string{}
		for _, a := range expected {
			switch a.Type {
			case "comment":
				want = append(want, a.Issue+" comment "+a.Text)
			case "worklog":
				want = append(want, a.Issue+" time "+a.Time+" / "+a.Text)
			case "error":
				want = append(want, a.Issue+" error "+a.Command)
			default:
				want = append(want, a.Issue+" "+a.Command+" "+a.Text)
			}
		}
		for _, a := range nativeActions(e.Message) {
			for _, key := range a.keys {
				text := key + " " + a.name + " " + a.argument
				if a.name == "time" {
					text = key + " error time"
					if at := nativeTime.FindStringIndex(a.argument); at != nil {
						text = key + " time " + strings.TrimSpace(a.argument[at[0]:at[1]]) + " / " + strings.TrimSpace(a.argument[:at[0]]+a.argument[at[1]:])
					}
				}
				got = append(got, text)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", e.ID, e.Message, diff)
		}
	}
}

func TestNativeSeesOnlyTheShownPart(t *testing.T) {
	long := strings.Repeat("x", shownMessage-5) + "\nDEMO-1 #comment late"
	if got := NativeCommands(long); len(got) != 0 {
		t.Errorf("commands beyond %d characters: %q", shownMessage, got)
	}
	if got := NativeCommands("DEMO-1 #\u2060comment hidden #\u2060done"); len(got) != 0 {
		t.Errorf("defused commands are found: %q", got)
	}
	want := []string{"DEMO-1 DEMO-2 #time 2h", "DEMO-1 DEMO-2 #comment done"}
	if diff := cmp.Diff(want, NativeCommands("DEMO-1, DEMO-2 #time 2h #comment done")); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
