package pulls

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A Person is who asks for something at the host, and from where.
type Person struct {
	Subject ferry.Subject
	Address string // for the audit
	Request string // request ID for the audit, may be empty
}

// MaxToken is the longest client request token, in bytes.
const MaxToken = 100

// account returns the integration of a repository whose host can be asked to
// make something, after checking that the person may push to it.
func (h *Host) account(ctx context.Context, who Person, repo ferry.Repository) (ferry.Integration, error) {
	if err := ferry.Check(who.Subject, ferry.ActionPush, repo.Path(), h.now()); err != nil {
		return ferry.Integration{}, &ferry.Message{Kind: ferry.ErrDenied, Text: "this needs write access to " + repo.Path() + "; ask an administrator for a grant"}
	}
	i, err := h.Store.Integration(ctx, repo.IntegrationID)
	if err != nil {
		return i, err
	}
	return i, usable(repo, i)
}

// usable says why branches and pull requests of a repository cannot be made.
func usable(repo ferry.Repository, i ferry.Integration) error {
	switch {
	case repo.State != ferry.RepositoryEnabled:
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf("%s is %s", repo.Path(), repo.State)}
	case i.Disabled:
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the integration " + i.Slug + " is disabled; ask an administrator"}
	case i.Kind != ferry.KindCodeCommit:
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: repo.Path() + " is a single git repository: create branches with git push; only repositories of an AWS account have pull requests here"}
	case !hasKey(i) && !i.PersonalRequired:
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "the integration " + i.Slug + " has no access key, so CodeCommit's API cannot be used"}
	}
	return nil
}

// client returns the client with which a person acts: with their own AWS
// credentials where they stored some, else with the integration's, unless
// those may not be used for this. credential names it for the audit.
func (h *Host) client(ctx context.Context, who Person, i ferry.Integration) (c *codecommit.Client, credential string, err error) {
	own, secret, err := h.Store.PersonalCredential(ctx, who.Subject.User.ID, i.ID)
	switch {
	case err == nil:
		c, err = h.personalClient(ctx, i, own.AccessKeyID, secret)
		return c, "own AWS key " + own.AccessKeyID, err
	case !errors.Is(err, ferry.ErrNotFound):
		return nil, "", err
	case i.PersonalRequired:
		return nil, "", &ferry.Message{Kind: ferry.ErrDenied, Text: "this needs your own AWS credentials for " + i.Slug + "; set them up in your settings; nothing was done"}
	}
	c, err = h.Client(ctx, i)
	return c, "AWS key of " + i.Slug, err
}

func (h *Host) personalClient(ctx context.Context, i ferry.Integration, accessKeyID string, secret ferry.Secret) (*codecommit.Client, error) {
	i.AccessKeyID = accessKeyID
	return codecommit.New(ctx, codecommit.Config{Integration: i, Credentials: ferry.Credentials{SecretAccessKey: secret},
		Personal: true, HTTP: h.HTTP(i.PrivateNetwork)})
}

// SetPersonal stores a person's own access key for an account after AWS said
// whose it is. It fails with ferry.ErrDenied if AWS does not accept the key,
// or if it belongs to another account.
func (h *Host) SetPersonal(ctx context.Context, who Person, i ferry.Integration, accessKeyID string, secret ferry.Secret) (store.PersonalCredential, error) {
	p := store.PersonalCredential{User: who.Subject.User.ID, Integration: i.ID, AccessKeyID: accessKeyID}
	if i.Kind != ferry.KindCodeCommit {
		return p, &ferry.Message{Kind: ferry.ErrInvalid, Text: i.Slug + " is no AWS account"}
	}
	err := func() error {
		c, err := h.personalClient(ctx, i, accessKeyID, secret)
		if err != nil {
			return err
		}
		identity, err := c.Identity(ctx)
		if err != nil {
			return err
		}
		if i.Account != "" && identity.Account != i.Account {
			return &ferry.Message{Kind: ferry.ErrDenied, Text: fmt.Sprintf("this access key belongs to the AWS account %s; %s is the account %s", identity.Account, i.Slug, i.Account)}
		}
		p.ARN, p.CheckedAt = identity.ARN, h.now()
		return h.Store.SetPersonalCredential(ctx, p, secret)
	}()
	return p, h.audit(ctx, who, who.Subject.Credential, "personal-credential.set", i.Slug, p.ARN, err)
}

// RemovePersonal forgets a person's own access key.
func (h *Host) RemovePersonal(ctx context.Context, who Person, i ferry.Integration) error {
	err := h.Store.RemovePersonalCredential(ctx, who.Subject.User.ID, i.ID)
	return h.audit(ctx, who, who.Subject.Credential, "personal-credential.remove", i.Slug, "", err)
}

// audit writes what was done at the host, and with which credential, and
// returns the failure, if any.
func (h *Host) audit(ctx context.Context, who Person, credential, action, object, detail string, failure error) error {
	e := store.AuditEvent{ActorID: who.Subject.User.ID, Actor: who.Subject.User.Name, Credential: who.Subject.Credential, Address: who.Address,
		Request: who.Request, Action: action, Object: object, Result: "ok", Detail: detail}
	if credential != who.Subject.Credential && credential != "" {
		e.Detail = joinDetail("with "+credential, detail)
	}
	if failure != nil {
		e.Result, e.Reason = "failed", failure.Error()
		if errors.Is(failure, ferry.ErrDenied) {
			e.Result = "refused"
		}
	}
	return errors.Join(failure, h.Store.Audit(context.WithoutCancel(ctx), e))
}

func joinDetail(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// An intent is something that a person asks of the host, under the token of
// its dialog.
type intent struct {
	user  ferry.UserID
	token string
	body  string // the request, to tell it from another one
	again bool   // asked for before, not known to be done
}

// begin writes an intent down. If it is done already, the result of then is
// put into result, and done is true.
func (h *Host) begin(ctx context.Context, who Person, token string, request, result any) (in *intent, done bool, err error) {
	if len(token) > MaxToken {
		return nil, false, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the request's token is longer than %d bytes", MaxToken)}
	}
	if token == "" {
		token = rand.Text()
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, false, err
	}
	in = &intent{user: who.Subject.User.ID, token: token, body: string(body)}
	before, again, err := h.Store.BeginHostRequest(ctx, in.user, token, in.body)
	if errors.Is(err, ferry.ErrConflict) {
		return nil, false, &ferry.Message{Kind: ferry.ErrConflict, Cause: err, Text: "this dialog was already used for another request; open it anew"}
	}
	if err != nil {
		return nil, false, err
	}
	in.again = again
	if before == "" {
		return in, false, nil
	}
	return in, true, json.Unmarshal([]byte(before), result)
}

// clientToken is what AWS knows the intent by: the same for repeats, another
// for a corrected request.
func (in *intent) clientToken() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "gitferry %d %d:%s %s", in.user, len(in.token), in.token, in.body))
	return hex.EncodeToString(sum[:16])
}

// done stores the result of an intent for repeats.
func (h *Host) done(ctx context.Context, in *intent, result any) error {
	body, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return h.Store.FinishHostRequest(context.WithoutCancel(ctx), in.user, in.token, string(body))
}
