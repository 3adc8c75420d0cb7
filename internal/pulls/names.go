package pulls

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

// MaxBranchName is the longest short branch name that CodeCommit takes, in
// characters (service model). A ref name must also fit ferry.MaxRefName.
const MaxBranchName = 256

var fullID = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)

// CheckBranchName checks the short name of a new branch by the rules of git
// check-ref-format --branch and by CodeCommit's quotas page. It fails with
// ferry.ErrInvalid and says which rule is broken.
func CheckBranchName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "is empty"
	case utf8.RuneCountInString(name) > MaxBranchName:
		why = fmt.Sprintf("is longer than %d characters", MaxBranchName)
	case fullID.MatchString(name):
		why = "looks like a commit id: 40 hexadecimal digits"
	case name == "@" || name == "HEAD":
		why = "is a word of git's own"
	case strings.HasPrefix(name, "-"):
		why = "begins with a dash"
	case strings.Trim(name, "/.") != name:
		why = "begins or ends with a slash or a dot"
	case !utf8.ValidString(name):
		why = "is not valid UTF-8"
	}
	if why == "" {
		full := "refs/heads/" + name
		if _, err := ferry.ParseRefName(full); err != nil {
			why = strings.TrimSuffix(strings.TrimPrefix(err.Error(), fmt.Sprintf("ref name %.80q: ", full)), ": "+ferry.ErrInvalid.Error())
		}
	}
	if why != "" {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the branch name %.80q %s", name, why)}
	}
	return nil
}

// clash returns the branch that stands in the way of a new one: the same name
// in any letter case, or a name that is a directory of the other. Empty: none.
func clash(refs map[ferry.RefName]ferry.OID, name string) string {
	lower := strings.ToLower(name)
	found := ""
	for ref := range refs {
		if !ref.IsBranch() {
			continue
		}
		short := ref.Short()
		other := strings.ToLower(short)
		if other == lower || strings.HasPrefix(other, lower+"/") || strings.HasPrefix(lower, other+"/") {
			if found == "" || short < found || short == name {
				found = short
			}
			if short == name {
				return short
			}
		}
	}
	return found
}

// clashText says how an existing branch stands in the way of a new one.
func clashText(existing, name string) string {
	switch {
	case existing == name:
		return fmt.Sprintf("the branch %s exists already", name)
	case strings.EqualFold(existing, name):
		return fmt.Sprintf("the branch %s exists already and differs in upper and lower case only; choose another name", existing)
	}
	return fmt.Sprintf("the branch %s exists, so there can be no branch %s: one name is a directory of the other; choose another name", existing, name)
}
