package codecommit

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/ferry"
)

// A RepositoryName is one entry of the account's list.
type RepositoryName struct {
	ID   string // stays the same when the repository is renamed
	Name string
}

// A Repository is what CodeCommit knows about one.
type Repository struct {
	ID, Name, Description string
	Account, ARN          string
	DefaultBranch         string // short name; empty while there is no commit
	CloneURLHTTP          string
	CloneURLSSH           string // without the SSH key ID
	Created, Modified     time.Time
}

// A RepositoryFault says why a repository could not be described.
type RepositoryFault struct {
	ID, Name, Code, Message string
}

// Bounds of lists, so that an end point cannot keep us busy for ever.
const (
	maxPages        = 1000
	maxRepositories = 100_000
	batchSize       = 100 // BatchGetRepositories' limit of names
)

// ListRepositories returns all repositories of the account in the region,
// in AWS's order. It needs codecommit:ListRepositories.
func (c *Client) ListRepositories(ctx context.Context) ([]RepositoryName, error) {
	what := call{"codecommit:ListRepositories", "the list of repositories"}
	var list []RepositoryName
	err := pages(what, func(token *string) (*string, error) {
		out, err := invoke(ctx, c, what, c.codecommit.ListRepositories, &codecommit.ListRepositoriesInput{
			NextToken: token, SortBy: types.SortByEnumRepositoryName, Order: types.OrderEnumAscending,
		})
		if err != nil {
			return nil, err
		}
		for _, r := range out.Repositories {
			list = append(list, RepositoryName{ID: aws.ToString(r.RepositoryId), Name: aws.ToString(r.RepositoryName)})
		}
		if len(list) > maxRepositories {
			return nil, tooLong(what)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// pages calls page until it returns no further token. AWS ends some lists
// with an empty token; a token that repeats would loop.
func pages(what call, page func(token *string) (*string, error)) error {
	var token *string
	for range maxPages {
		next, err := page(token)
		if err != nil {
			return err
		}
		if aws.ToString(next) == "" {
			return nil
		}
		if token != nil && *next == *token {
			break
		}
		token = next
	}
	return tooLong(what)
}

func tooLong(what call) error {
	return &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf("AWS's answer about %s has no end", what.subject)}
}

// BatchGetRepositories describes repositories by name, 100 in one request. It
// returns those found, and faults for the others: with code
// "RepositoryDoesNotExistException" for names that are gone. It needs
// codecommit:BatchGetRepositories.
func (c *Client) BatchGetRepositories(ctx context.Context, names []string) ([]Repository, []RepositoryFault, error) {
	what := call{"codecommit:BatchGetRepositories", "repositories"}
	var found []Repository
	var faults []RepositoryFault
	for len(names) > 0 {
		batch := names[:min(batchSize, len(names))]
		names = names[len(batch):]
		out, err := invoke(ctx, c, what, c.codecommit.BatchGetRepositories, &codecommit.BatchGetRepositoriesInput{RepositoryNames: batch})
		if err != nil {
			return nil, nil, err
		}
		for i := range out.Repositories {
			found = append(found, repository(&out.Repositories[i]))
		}
		for _, name := range out.RepositoriesNotFound {
			faults = append(faults, RepositoryFault{Name: name, Code: "RepositoryDoesNotExistException", Message: "the repository does not exist"})
		}
		for _, e := range out.Errors {
			name := aws.ToString(e.RepositoryName)
			known := false
			for _, f := range faults {
				known = known || f.Name == name && name != ""
			}
			if !known {
				faults = append(faults, RepositoryFault{aws.ToString(e.RepositoryId), name, string(e.ErrorCode), oneLine(aws.ToString(e.ErrorMessage))})
			}
		}
	}
	return found, faults, nil
}

func repository(m *types.RepositoryMetadata) Repository {
	return Repository{
		ID:            aws.ToString(m.RepositoryId),
		Name:          aws.ToString(m.RepositoryName),
		Description:   aws.ToString(m.RepositoryDescription),
		Account:       aws.ToString(m.AccountId),
		ARN:           aws.ToString(m.Arn),
		DefaultBranch: aws.ToString(m.DefaultBranch),
		CloneURLHTTP:  aws.ToString(m.CloneUrlHttp),
		CloneURLSSH:   aws.ToString(m.CloneUrlSsh),
		Created:       aws.ToTime(m.CreationDate),
		Modified:      aws.ToTime(m.LastModifiedDate),
	}
}

// odd is an answer that the API's description does not allow.
func odd(subject, why string) error {
	return &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf("AWS's answer about %s is not usable: %s", subject, why)}
}

func oid(subject string, id *string) (ferry.OID, error) {
	o, err := ferry.ParseOID(aws.ToString(id))
	if err != nil {
		return o, odd(subject, err.Error())
	}
	return o, nil
}

// CreateBranch makes a branch of that short name at a commit that the
// repository has. It fails with ferry.ErrConflict if the name exists, also at
// the same commit. It needs codecommit:CreateBranch.
func (c *Client) CreateBranch(ctx context.Context, repository, branch string, at ferry.OID) error {
	_, err := invoke(ctx, c, call{"codecommit:CreateBranch", "branch " + branch + " of " + repository}, c.codecommit.CreateBranch,
		&codecommit.CreateBranchInput{RepositoryName: aws.String(repository), BranchName: aws.String(branch), CommitId: aws.String(at.String())})
	return err
}

// DeleteBranch removes a branch and returns the tip that it had, or zero if
// there was none of that name. It needs codecommit:DeleteBranch.
func (c *Client) DeleteBranch(ctx context.Context, repository, branch string) (ferry.OID, error) {
	subject := "branch " + branch + " of " + repository
	out, err := invoke(ctx, c, call{"codecommit:DeleteBranch", subject}, c.codecommit.DeleteBranch,
		&codecommit.DeleteBranchInput{RepositoryName: aws.String(repository), BranchName: aws.String(branch)})
	if err != nil || out.DeletedBranch == nil || aws.ToString(out.DeletedBranch.CommitId) == "" {
		return ferry.OID{}, err
	}
	return oid(subject, out.DeletedBranch.CommitId)
}
