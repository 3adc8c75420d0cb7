package api

import (
	"encoding/json"
	"errors"
	"strings"
)

// hookEvents is what the Message of a notification says: that something happened
// to these repositories. Nothing else of it is used.
type hookEvents struct {
	kind  string // for the log
	test  bool
	about []eventAbout
}

type eventAbout struct {
	account, region, name string
	pullRequest           bool
}

// maxEvents bounds what one message may name.
const maxEvents = 100

func (e *hookEvents) names() string {
	var list []string
	for _, a := range e.about[:min(len(e.about), 5)] {
		list = append(list, a.name)
	}
	return strings.Join(list, ", ")
}

// readEvents understands the messages of repository triggers (CodeCommit user
// guide, "Example: Create an AWS CodeCommit trigger for an Amazon SNS topic"),
// of EventBridge rules ("Monitoring CodeCommit events") and of notification
// rules, which wrap the same detail.
func readEvents(message []byte) (*hookEvents, error) {
	var m struct {
		Records []struct {
			EventName, EventSource, EventSourceARN string
		}
		DetailTypeEvent string `json:"detail-type"`
		DetailTypeRule  string `json:"detailType"`
		Source          string
		Account, Region string
		Resources       []string
		Detail          struct {
			RepositoryName  string
			RepositoryNames []string
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return nil, errors.New("the message is not one of CodeCommit")
	}
	e := &hookEvents{kind: m.DetailTypeEvent + m.DetailTypeRule}
	for _, r := range m.Records[:min(len(m.Records), maxEvents)] {
		a, ok := aboutARN(r.EventSourceARN)
		if !ok || r.EventSource != "aws:codecommit" {
			continue
		}
		e.kind = r.EventName
		e.test = e.test || r.EventName == "TriggerEventTest"
		e.about = append(e.about, a)
	}
	if len(m.Records) > 0 {
		return e, nil
	}
	if e.kind == "" || m.Source != "aws.codecommit" && !strings.HasPrefix(e.kind, "CodeCommit ") {
		return nil, errors.New("the message is not one of CodeCommit")
	}
	pull := strings.Contains(e.kind, "Pull Request")
	for _, name := range append(m.Detail.RepositoryNames, m.Detail.RepositoryName) {
		if name != "" && len(e.about) < maxEvents {
			e.about = append(e.about, eventAbout{m.Account, m.Region, name, pull})
		}
	}
	if len(e.about) == 0 {
		for _, arn := range m.Resources[:min(len(m.Resources), maxEvents)] {
			if a, ok := aboutARN(arn); ok {
				a.pullRequest = pull
				e.about = append(e.about, a)
			}
		}
	}
	return e, nil
}

// aboutARN reads the ARN of a repository.
func aboutARN(arn string) (eventAbout, bool) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[2] != "codecommit" || part[5] == "" {
		return eventAbout{}, false
	}
	return eventAbout{account: part[4], region: part[3], name: part[5]}, true
}
