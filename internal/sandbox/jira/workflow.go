package jira

import "slices"

// A status is a step of the workflow; category is new, indeterminate or done.
type status struct {
	id, name, category string
}

var (
	statusToDo       = &status{"10000", "To Do", "new"}
	statusInProgress = &status{"3", "In Progress", "indeterminate"}
	statusInReview   = &status{"10001", "In Review", "indeterminate"}
	statusDone       = &status{"10002", "Done", "done"}
)

// A transition leads from some statuses to one.
type transition struct {
	id, name string
	from     []*status
	to       *status
	// resolution is set by the transition itself; "-" clears it.
	resolution string
	// screen makes the transition ask for a resolution, which is required and
	// has no default, and lets it take a comment.
	screen bool
}

func (t *transition) open(from *status) bool { return slices.Contains(t.from, from) }

// transitions is the sample workflow To Do → In Progress → In Review → Done
// with its ways back. The names are mixed on purpose: some are the name of the
// target status, some are not.
var transitions = []*transition{
	{id: "11", name: "Start Progress", from: []*status{statusToDo}, to: statusInProgress},
	{id: "21", name: "Stop Progress", from: []*status{statusInProgress}, to: statusToDo},
	{id: "31", name: "In Review", from: []*status{statusInProgress}, to: statusInReview},
	{id: "41", name: "Back to Progress", from: []*status{statusInReview}, to: statusInProgress},
	{id: "51", name: "Done", from: []*status{statusInReview}, to: statusDone, resolution: "Done"},
	{id: "61", name: "Decline", from: []*status{statusInReview}, to: statusDone, screen: true},
	{id: "71", name: "Reopen", from: []*status{statusDone}, to: statusToDo, resolution: "-"},
}

// resolutions are the values of the field resolution; their ids count from 1.
var resolutions = []string{"Done", "Won't Do", "Duplicate"}

// openTransitions returns the transitions that lead out of from.
func openTransitions(from *status) []*transition {
	var open []*transition
	for _, t := range transitions {
		if t.open(from) {
			open = append(open, t)
		}
	}
	return open
}

// take carries a transition out; what it needs was checked before.
func (st *site) take(is *issue, t *transition, resolution string, by *user, metadata []byte) {
	items := []changeItem{edited("status", is.status.name, t.to.name)}
	items[0].From, items[0].To = &is.status.id, &t.to.id
	if t.resolution != "" {
		resolution = t.resolution
	}
	if resolution == "-" {
		resolution = ""
	}
	if resolution != is.resolution {
		items = append(items, edited("resolution", is.resolution, resolution))
	}
	is.status, is.resolution = t.to, resolution
	st.record(is, by, metadata, items...)
}
