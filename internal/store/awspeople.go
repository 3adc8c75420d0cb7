package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"

	"gitferry/internal/ferry"
)

// An AWSPerson says who a user is at AWS.
type AWSPerson struct {
	ARN  string // of an IAM user, of a session of a role, or of a federated user
	User ferry.UserID
}

var personARN = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::\d{12}:(user/[\w+=,.@/-]{1,512}|root)|sts::\d{12}:(assumed-role|federated-user)/[\w+=,.@/-]{1,512})$`)

// AddAWSPerson says that an ARN is a user's. It fails with ferry.ErrInvalid if
// it is no ARN of a person, and with ferry.ErrConflict if it is somebody's
// already.
func (s *Store) AddAWSPerson(ctx context.Context, p AWSPerson) error {
	if !personARN.MatchString(p.ARN) {
		return invalid("%.120q is no ARN of a person; want arn:aws:iam::ACCOUNT:user/NAME or arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION", p.ARN)
	}
	return s.write(ctx, "adding an identity at AWS", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO aws_person (arn, user_id) VALUES (?, ?)`, p.ARN, p.User)
		return err
	})
}

// RemoveAWSPerson takes an ARN from a user. It fails with ferry.ErrNotFound if
// it is not the user's.
func (s *Store) RemoveAWSPerson(ctx context.Context, p AWSPerson) error {
	return s.write(ctx, "removing an identity at AWS", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM aws_person WHERE arn = ? AND user_id = ?`, p.ARN, p.User)
		return one(res, err, ferry.ErrNotFound)
	})
}

// AWSPeople returns the ARNs that were said to be a user's, sorted.
func (s *Store) AWSPeople(ctx context.Context, user ferry.UserID) ([]AWSPerson, error) {
	list, err := collect(ctx, s.r, func(row scanner) (p AWSPerson, err error) {
		return p, row.Scan(&p.ARN, &p.User)
	}, `SELECT arn, user_id FROM aws_person WHERE user_id = ? ORDER BY arn`, user)
	if err != nil {
		return nil, fmt.Errorf("reading identities at AWS: %w", err)
	}
	return list, nil
}

// UserByARN returns the user to whom an ARN belongs: as an administrator says,
// or as AWS said of the user's own access key. It fails with ferry.ErrNotFound
// if that is not known.
func (s *Store) UserByARN(ctx context.Context, arn string) (ferry.User, error) {
	return userBy(ctx, s.r, `u.id = COALESCE(
		(SELECT user_id FROM aws_person WHERE arn = ?1),
		(SELECT user_id FROM personal_credential WHERE arn = ?1 ORDER BY checked_at DESC LIMIT 1))`, arn)
}
