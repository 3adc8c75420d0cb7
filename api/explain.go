package api

import (
	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
)

// explainIn is a text to be explained. Projects that are left out are those
// that Jira has; "*" among them is every project.
type explainIn struct {
	Message  string           `json:"message"`
	Kind     smartcommit.Kind `json:"kind,omitempty"` // "commit" or "branch"
	Projects []string         `json:"projects,omitempty"`
}

// explanation is what a text would do.
type explanation struct {
	Keys     []ferry.IssueKey     `json:"keys"`
	Actions  []smartcommit.Action `json:"actions"`
	Warnings []string             `json:"warnings"`
	Unknown  []ferry.IssueKey     `json:"unknown"`
}

func (s *Server) explain(c *call, in explainIn) (explanation, error) {
	o, err := s.ParseOptions(c.ctx)
	if err != nil {
		return explanation{}, err
	}
	switch in.Kind {
	case "", smartcommit.Commit, smartcommit.Branch:
		o.Kind = in.Kind
	default:
		return explanation{}, badRequest("kind %.20q: want commit or branch", in.Kind)
	}
	if in.Projects != nil {
		o.Projects, o.All = smartcommit.ProjectSet(in.Projects)
	}
	r := smartcommit.Parse(in.Message, o)
	return explanation{Keys: list(r.Keys), Actions: list(r.Actions), Warnings: list(r.Warnings), Unknown: list(r.Unknown)}, nil
}
