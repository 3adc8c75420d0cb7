package pulls

import (
	"slices"

	"gitferry/internal/ferry"
)

// keySet collects issue keys, each once, up to maxKeys.
type keySet struct{ seen map[ferry.IssueKey]bool }

func (k *keySet) add(keys []ferry.IssueKey) {
	if k.seen == nil {
		k.seen = make(map[ferry.IssueKey]bool)
	}
	for _, key := range keys {
		if len(k.seen) < maxKeys {
			k.seen[key] = true
		}
	}
}

// list returns the keys in order, as the books have them.
func (k *keySet) list() []ferry.IssueKey {
	if len(k.seen) == 0 {
		return nil
	}
	list := make([]ferry.IssueKey, 0, len(k.seen))
	for key := range k.seen {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}
