package proxy

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/internal/store"
)

// auditedRefs is how many refs of one push an audit row names.
const auditedRefs = 50

// audit writes down what became of a push (security reference, part 15): one
// row with every ref, its old and its new value. A push without results was
// refused. Trouble with it is logged and ends no push: the books hold the same.
func (s *Server) audit(ctx context.Context, repo ferry.Repository, row store.Push) {
	result, reason := "ok", row.Reason
	if len(row.Results) == 0 {
		result = "refused"
	}
	var detail strings.Builder
	for i, u := range row.Updates {
		outcome := store.Outcome("refused")
		if i < len(row.Results) {
			r := row.Results[i]
			outcome, reason = r.Outcome, cmp.Or(reason, r.Reason)
			switch {
			case r.Outcome == store.OutcomeUnknown:
				result = "unknown"
			case r.Outcome == store.OutcomeRejected && result == "ok":
				result = "failed"
			}
		}
		if i < auditedRefs {
			fmt.Fprintf(&detail, "%s %s %s %s\n", outcome, u.Old, u.New, u.Name)
		}
	}
	if more := len(row.Updates) - auditedRefs; more > 0 {
		fmt.Fprintf(&detail, "and %d more\n", more)
	}
	e := store.AuditEvent{ActorID: row.User, Actor: "system", Credential: row.Credential, Address: row.Address, Action: "push",
		Object: repo.Path(), Result: result, Reason: firstLine(pktline.SanitizeTerminal(reason)), Detail: detail.String()}
	if u, err := s.Store.User(ctx, row.User); err == nil {
		e.Actor = u.Name
	}
	if err := s.Store.Audit(ctx, e); err != nil {
		s.Log.Error("writing the audit of a push", "repo", repo.Path(), "push", row.ID, "err", err)
	}
}
