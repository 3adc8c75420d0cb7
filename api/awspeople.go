package api

import (
	"fmt"

	"gitferry/internal/store"
)

// awsIdentity is who a user is at AWS. CodeCommit names authors and reviewers
// of pull requests by ARN; Jira is told the user's name and address instead.
type awsIdentity struct {
	ARN string `json:"arn"` // of an IAM user, a session of a role or a federated user
}

func (s *Server) listAWSIdentities(c *call) (page[awsIdentity], error) {
	u, err := s.user(c)
	if err != nil {
		return page[awsIdentity]{}, err
	}
	all, err := s.Store.AWSPeople(c.ctx, u.ID)
	if err != nil {
		return page[awsIdentity]{}, err
	}
	return cut(c, all, func(p store.AWSPerson) awsIdentity { return awsIdentity{p.ARN} })
}

func (s *Server) addAWSIdentity(c *call, in awsIdentity) (awsIdentity, error) {
	u, err := s.user(c)
	if err != nil {
		return in, err
	}
	if err := s.Store.AddAWSPerson(c.ctx, store.AWSPerson{ARN: in.ARN, User: u.ID}); err != nil {
		return in, fmt.Errorf("adding an identity of %s: %w", u.Name, err)
	}
	return in, nil
}

func (s *Server) removeAWSIdentity(c *call) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.RemoveAWSPerson(c.ctx, store.AWSPerson{ARN: c.value("arn"), User: u.ID})
}
