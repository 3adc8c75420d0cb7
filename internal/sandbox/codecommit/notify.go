package codecommit

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A notification is the body of POST notify: which message to send.
type notification struct {
	// Kind is "valid"; "duplicate", the same message twice; "forged", with a
	// signature that does not fit; "delayed", sent late; or "test", as the
	// console's test sends it.
	Kind       string `json:"kind"`
	Region     string `json:"region"`     // default: the plain region
	Repository string `json:"repository"` // required
	Ref        string `json:"ref"`        // default: the default branch
	Commit     string `json:"commit"`     // default: where the ref is
	TopicArn   string `json:"topic_arn"`  // default: the topics of the repository's triggers
	DelayMS    int    `json:"delay_ms"`   // how late a delayed message is sent; default 2000
	AgeMS      int    `json:"age_ms"`     // how far back its Timestamp lies; default delay_ms for a delayed one, else 0
}

// postNotify sends a trigger message although nothing moved. It answers
// {"messages":[{"topic_arn":…,"message_id":…}]}, empty if no trigger has a
// topic.
func (s *Server) postNotify(w http.ResponseWriter, r *http.Request) {
	var n notification
	if !readControl(w, r, &n) {
		return
	}
	v := variant{copies: 1}
	event := "ReferenceChanges"
	switch n.Kind {
	case "", "valid":
	case "duplicate":
		v.copies = 2
	case "forged":
		v.forged = true
	case "delayed":
		n.DelayMS = cmp.Or(n.DelayMS, 2000)
		n.AgeMS = cmp.Or(n.AgeMS, n.DelayMS)
	case "test":
		event = "TriggerEventTest"
	default:
		http.Error(w, "kind: want valid, duplicate, forged, delayed or test", http.StatusBadRequest)
		return
	}
	v.wait, v.age = time.Duration(n.DelayMS)*time.Millisecond, time.Duration(n.AgeMS)*time.Millisecond
	repo := s.repository(cmp.Or(n.Region, s.plainRegion(n.Repository)), n.Repository)
	if repo == nil {
		http.Error(w, "no such repository", http.StatusNotFound)
		return
	}
	s.mu.Lock()
	name := cmp.Or(n.Ref, "refs/heads/"+repo.defaultBranch)
	list := append([]trigger{}, repo.triggers...)
	s.mu.Unlock()
	if n.TopicArn != "" {
		list = []trigger{{Name: "notify", DestinationArn: n.TopicArn}}
	}
	// An update: neither created nor deleted.
	change := refChange{name: name, old: zeroID, new: cmp.Or(n.Commit, s.resolve(r.Context(), repo, name), zeroID)}
	messages := []obj{}
	for _, t := range list {
		payload := s.triggerPayload(repo, s.users[0], t, []refChange{change}, event)
		if id := s.publishVariant(t.DestinationArn, s.triggerSubject(repo), payload, v); id != "" {
			messages = append(messages, obj{"topic_arn": t.DestinationArn, "message_id": id})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(obj{"messages": messages})
}

// putEventTargets makes the named topics, and no others, receive events in
// EventBridge's shape, as an EventBridge rule would.
func (s *Server) putEventTargets(w http.ResponseWriter, r *http.Request) {
	var arns []string
	if !readControl(w, r, &arns) {
		return
	}
	if err := s.setEventTargets(arns); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.save()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) setEventTargets(arns []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arn := range arns {
		if s.topicByARN(arn) == nil {
			return notFound("Topic " + arn)
		}
	}
	for _, g := range s.regions {
		for arn, t := range g.topics {
			t.events = slices.Contains(arns, arn)
		}
	}
	return nil
}

// showState answers everything that the stand-in knows but secrets.
func (s *Server) showState(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var repos []*repository
	for _, name := range sortedKeys(s.regions) {
		g := s.regions[name]
		for _, name := range sortedKeys(g.repositories) {
			repos = append(repos, g.repositories[name])
		}
	}
	s.mu.Unlock()
	refs := map[*repository]map[string]string{}
	for _, repo := range repos {
		refs[repo] = map[string]string{}
		list, err := s.refs(r.Context(), repo)
		if err != nil {
			continue // removed meanwhile
		}
		for _, f := range list {
			refs[repo][f.name] = f.oid
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.state(refs))
}

func (s *Server) state(refs map[*repository]map[string]string) obj {
	s.mu.Lock()
	defer s.mu.Unlock()
	regions := obj{}
	for _, name := range sortedKeys(s.regions) {
		g := s.regions[name]
		repos, pulls, topics := []obj{}, []obj{}, []obj{}
		for _, n := range sortedKeys(g.repositories) {
			r := g.repositories[n]
			repos = append(repos, obj{"name": r.name, "id": r.id, "description": r.description, "default_branch": r.defaultBranch,
				"refs": refs[r], "triggers": append([]trigger{}, r.triggers...)})
		}
		for _, id := range sortedKeys(g.pulls) {
			pulls = append(pulls, g.pulls[id].json())
		}
		for _, arn := range sortedKeys(g.topics) {
			t := g.topics[arn]
			subs := []obj{}
			for _, sub := range t.subscriptions {
				// Only the address: the path holds the receiver's secret.
				scheme, rest, _ := strings.Cut(sub.Endpoint, "://")
				host, _, _ := strings.Cut(rest, "/")
				subs = append(subs, obj{"arn": sub.ARN, "endpoint": scheme + "://" + host + "/…", "confirmed": sub.Confirmed})
			}
			topics = append(topics, obj{"arn": arn, "attributes": t.attributes, "events": t.events, "subscriptions": subs})
		}
		regions[name] = obj{"repositories": repos, "pull_requests": pulls, "topics": topics}
	}
	denied := []string{}
	for _, d := range s.deny {
		denied = append(denied, d.String())
	}
	mode := "codecommit"
	if s.likeGit {
		mode = "git"
	}
	return obj{"account": s.cfg.Account, "capabilities": mode, "denied": denied,
		"undelivered": len(s.queue) + s.outstanding, "regions": regions}
}
