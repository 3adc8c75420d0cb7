package codecommit

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// str returns a string member, "" if it is absent.
func (c *call) str(member string) string { return str(c.in, member) }

func str(in map[string]any, member string) string {
	v, _ := in[member].(string)
	return v
}

// number64 returns a member that is a whole number.
func number64(v any) (n int64, ok bool) {
	if text, is := v.(json.Number); is {
		n, err := text.Int64()
		return n, err == nil
	}
	return 0, false
}

// strs returns a member that is a list of strings.
func strs(in map[string]any, member string) []string {
	list, _ := in[member].([]any)
	var out []string
	for _, v := range list {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

// objs returns a member that is a list of structures.
func objs(in map[string]any, member string) []map[string]any {
	list, _ := in[member].([]any)
	var out []map[string]any
	for _, v := range list {
		o, _ := v.(map[string]any)
		out = append(out, o)
	}
	return out
}

// page cuts the next page out of n items. The tokens are opaque to clients.
func (c *call) page(tokenMember, sizeMember string, n, most int) (from, to int, next string, err error) {
	size := most
	if v, ok := c.in[sizeMember].(json.Number); ok {
		i, err := v.Int64()
		if err != nil || i < 1 || i > int64(most) {
			return 0, 0, "", fail("InvalidMaxResultsException", "The specified number of maximum results is not valid")
		}
		size = int(i)
	}
	if token := c.str(tokenMember); token != "" {
		text, ok := strings.CutPrefix(token, "page-")
		i, err := strconv.Atoi(text)
		if !ok || err != nil || i < 0 || i > n {
			return 0, 0, "", fail("InvalidContinuationTokenException", "The specified continuation token is not valid")
		}
		from = i
	}
	if to = min(from+size, n); to < n {
		next = "page-" + strconv.Itoa(to)
	}
	return from, to, next, nil
}

// repository finds the repository that the call names.
func (c *call) repository() (*repository, error) {
	name := c.str("repositoryName")
	if name == "" {
		return nil, fail("RepositoryNameRequiredException", "A repository name is required")
	}
	r := c.s.repository(c.region, name)
	if r == nil {
		return nil, noRepository(name)
	}
	return r, nil
}

func noRepository(name string) error {
	return fail("RepositoryDoesNotExistException", "%s does not exist", name)
}

// stamp is a time as the JSON protocol writes it: seconds with a fraction.
func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
