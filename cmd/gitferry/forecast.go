package main

import (
	"context"

	"gitferry/internal/ferry"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/smartcommit"
)

// forecast says as whom a push's commands will be carried out and which of
// them Jira would refuse as things stand.
func (a *app) forecast(ctx context.Context, pusher ferry.User, v policy.Verdict) (string, func(smartcommit.Action) string) {
	o, site, err := a.parseOptions(ctx)
	if err != nil || site.Processor != string(outbox.ProcessorGitferry) {
		return "", nil
	}
	who := "service account"
	if token, _, err := a.store.JiraToken(ctx, pusher.ID); err == nil && !token.IsZero() {
		who = pusher.Name
	}
	var actions []smartcommit.Action
	may := a.mayKnow(ctx, pusher, v.Keys, o.Projects)
	for _, f := range v.Commits {
		for _, action := range f.Actions {
			if may[action.Key.Project()] {
				actions = append(actions, action)
			}
		}
	}
	known := a.issues.Forecast(ctx, actions)
	return who, func(action smartcommit.Action) string {
		if action.Command != smartcommit.Transition {
			return ""
		}
		return known.Fails[action.Key][action.Name]
	}
}
