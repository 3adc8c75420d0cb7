package store

import (
	"regexp"
	"strings"
	"testing"
)

// No query that a page, a push or the outbox waits for reads through a whole
// big table. SQLite says SCAN where it does, but also where it walks along an
// index up to a LIMIT, and along a partial index that holds only what is open.
func TestQueriesUseIndexes(t *testing.T) {
	s, _ := testStore(t)
	actions, actionArgs := DeliveryFilter{}.actionQuery(notBefore, 10)
	entities, entityArgs := DeliveryFilter{}.entityQuery(notBefore, 10)
	actionsOfKey, actionsOfKeyArgs := DeliveryFilter{Key: "A-1", State: "dead"}.actionQuery(notBefore, 10)
	entitiesOfKey, entitiesOfKeyArgs := DeliveryFilter{Key: "A-1", State: "dead"}.entityQuery(notBefore, 10)
	pulls, pullArgs := PullRequestFilter{Key: "A-1"}.query()
	queries := map[string]struct {
		text    string
		args    []any
		ordered bool // reads an index in order, up to a limit
	}{
		"commit by name":       {queryCommitByOID, []any{1, "a"}, false},
		"commits of an issue":  {queryCommitsByKey, []any{"A-1", 1, 1, 10}, true},
		"all commits":          {queryLinkedCommits[AllCommits], []any{1, 1, 1, 10}, true},
		"linked commits":       {queryLinkedCommits[OnlyLinked], []any{1, 1, 1, 10}, true},
		"unlinked commits":     {queryLinkedCommits[OnlyUnlinked], []any{1, 1, 1, 10}, true},
		"recent commits":       {queryRecentCommits, []any{10}, true},
		"branches":             {queryBranchesByKey, []any{"A-1"}, false},
		"links by hand":        {queryHandLinks, []any{1, "commit", "a"}, false},
		"by hand, of an issue": {queryHandLinksOf, []any{"A-1"}, false},
		"commit count":         {queryCommitCount, []any{1}, false},
		"key count":            {queryKeyCount, []any{1}, false},
		"issue summary":        {queryIssueSummary, []any{"A-1"}, false},
		"movements":            {queryMovements, []any{1, 0, 10}, false},
		"candidates":           {queryCandidates, []any{"A", 10}, false},
		"known commits":        {`SELECT oid FROM git_commit WHERE repository_id = ? AND oid IN (?, ?)`, []any{1, "a", "b"}, false},
		"due actions":          {queryDueActions, []any{1, 10}, true},
		"due entities":         {queryDueEntities, []any{0, 1, 10}, true},
		"ended leases":         {returnActions + ` AND lease_until <= ?1`, []any{1}, false},
		"entities leases":      {returnEntities + ` AND lease_until <= ?1`, []any{1}, false},
		"deliveries":           {actions, actionArgs, false},
		"deliveries, state":    {entities, entityArgs, false},
		"of an issue":          {actionsOfKey, actionsOfKeyArgs, false},
		"of an issue, state":   {entitiesOfKey, entitiesOfKeyArgs, false},
		"pull requests":        {pulls, pullArgs, false},
		"stalest pull":         {queryStalestPull, []any{1}, true},
		"next job":             {queryNextJob, []any{1, 2}, true},
		"counts":               {queryCounts, []any{1, 2}, false},
	}
	for i, text := range nextDueQueries {
		queries["next due "+string(rune('a'+i))] = struct {
			text    string
			args    []any
			ordered bool
		}{text, nil, true}
	}
	big := regexp.MustCompile(`^SCAN (c|l|a|b|e|p|k|f|git_commit|link|action|entity|entity_key|ref_link|movement|candidate|pull_request|push|ref|hand_link)\b`)
	open := regexp.MustCompile(`INDEX (push_unresolved|action_due|action_open|entity_due)$`)
	for name, q := range queries {
		rows, err := s.w.Query("EXPLAIN QUERY PLAN "+q.text, q.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			check(t, rows.Scan(&id, &parent, &unused, &step))
			t.Logf("%s: %s", name, step)
			limited := q.ordered && strings.Contains(step, "INDEX")
			if big.MatchString(step) && !limited && !open.MatchString(step) {
				t.Errorf("%s: %s", name, step)
			}
			if strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && q.ordered && !strings.Contains(q.text, "'leased'") {
				t.Errorf("%s sorts: %s", name, step)
			}
		}
		check(t, rows.Err())
		rows.Close()
	}
}
