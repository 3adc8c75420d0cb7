package jira

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// getRepository shows the newest 400 entities of a repository.
func getRepository(c *call) (reply, error) {
	r := c.st.repositories[c.r.PathValue("repository")]
	if r == nil {
		return reply{}, &refusal{status: http.StatusNotFound, text: "Not Found"}
	}
	var list []*devEntity
	for _, e := range r.entities {
		if !c.st.now().Before(e.visible) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *devEntity) int {
		if d := b.stored.Compare(a.stored); d != 0 {
			return d
		}
		return strings.Compare(a.kind+a.id, b.kind+b.id)
	})
	shown := map[string][]any{kindCommit: {}, kindBranch: {}, kindPullRequest: {}}
	for _, e := range cutPage(list, 0, 400) {
		shown[e.kind] = append(shown[e.kind], e.raw)
	}
	o := object{"commits": shown[kindCommit], "branches": shown[kindBranch], "pullRequests": shown[kindPullRequest]}
	for k, v := range r.raw {
		o[k] = v
	}
	return ok(o), nil
}

// upTo reads _updateSequenceId; without it everything is meant.
func (c *call) upTo() (int64, error) {
	v := c.query("_updateSequenceId")
	if v == "" {
		return 1<<63 - 1, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, refuseDevinfo(http.StatusBadRequest, "_updateSequenceId: not a number")
	}
	return n, nil
}

// remove deletes the entities that fit and have no greater number, and a
// repository that is then empty if whole is set.
func (c *call) remove(r *devRepository, limit int64, whole bool, fits func(*devEntity) bool) {
	if r == nil {
		return
	}
	n := 0
	for key, e := range r.entities {
		if e.sequence <= limit && fits(e) {
			delete(r.entities, key)
			c.st.touch(e)
			n++
		}
	}
	if whole && len(r.entities) == 0 && r.sequence <= limit {
		delete(c.st.repositories, r.id)
		c.st.touch(r)
		c.effect("devinfo repository %s deleted", r.id)
	} else if n > 0 {
		c.effect("devinfo repository %s %d entities deleted", r.id, n)
	}
}

func deleteRepository(c *call) (reply, error) {
	limit, err := c.upTo()
	if err != nil {
		return reply{}, err
	}
	c.remove(c.st.repositories[c.r.PathValue("repository")], limit, true, func(*devEntity) bool { return true })
	return reply{status: http.StatusAccepted}, nil
}

func deleteEntity(c *call) (reply, error) {
	limit, err := c.upTo()
	if err != nil {
		return reply{}, err
	}
	key := entityKey{c.r.PathValue("kind"), c.r.PathValue("entity")}
	if !slices.Contains([]string{kindCommit, kindBranch, kindPullRequest}, key.kind) {
		return reply{}, refuseDevinfo(http.StatusBadRequest, "unknown kind of entity: "+key.kind)
	}
	c.remove(c.st.repositories[c.r.PathValue("repository")], limit, false, func(e *devEntity) bool { return e.entityKey == key })
	return reply{status: http.StatusAccepted}, nil
}

// wantedProperties reads the pairs of a query; an entity fits if all do.
func (c *call) wantedProperties() (func(*devEntity) bool, error) {
	want := c.r.URL.Query()
	want.Del("_updateSequenceId")
	if len(want) == 0 {
		return nil, refuseDevinfo(http.StatusBadRequest, "at least one property is required")
	}
	return func(e *devEntity) bool {
		for k := range want {
			if v, there := e.properties[k]; !there || v != want.Get(k) {
				return false
			}
		}
		return true
	}, nil
}

func deleteByProperties(c *call) (reply, error) {
	limit, err := c.upTo()
	if err != nil {
		return reply{}, err
	}
	fits, err := c.wantedProperties()
	if err != nil {
		return reply{}, err
	}
	for _, r := range c.st.repositories {
		c.remove(r, limit, true, fits)
	}
	return reply{status: http.StatusAccepted}, nil
}

func existsByProperties(c *call) (reply, error) {
	fits, err := c.wantedProperties()
	if err != nil {
		return reply{}, err
	}
	found := false
	for _, r := range c.st.repositories {
		for _, e := range r.entities {
			found = found || fits(e)
		}
	}
	return ok(object{"hasDataMatchingProperties": found}), nil
}
