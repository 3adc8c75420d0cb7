package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/upstream"
)

// Pass-through of a developer's own CodeCommit git credentials (security
// reference, 18 (a)): where an integration is in this mode, Basic credentials
// in the form that IAM makes are used for upstream in that request only, and
// upstream's answer is the permission. They lie in the memory of the request;
// of a good answer a keyed hash is kept for passKept, and for reads while
// upstream cannot be asked for Limits.PassOffline, which is nothing unless an
// administrator wants it. Nothing is read from the mirror on the word of an
// earlier request by somebody else. Background work goes on with the integration's own
// credentials.

// iamUser is the form of the user names of IAM's git credentials:
// "NAME-at-ACCOUNT", a second pair "NAME+1-at-ACCOUNT".
var iamUser = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,70}-at-[0-9]{12}$`)

const (
	passKept    = 60 * time.Second // how long upstream's yes holds
	passTimeout = 15 * time.Second // for upstream's answer
	passFailed  = 5                // refused tries in a minute, of an address and of a user name
	passAtOnce  = 5                // tries of one of them on their way
	passPatient = 10 * time.Second // how long a further one waits
)

// errPass is the one answer to credentials of IAM's form that are not let in:
// it does not tell a repository in this mode from any other path.
var errPass = &statusError{http.StatusUnauthorized,
	"these CodeCommit git credentials are not accepted here: either CodeCommit refuses them for this repository, or the repository takes your gitferry user name with a token as password"}

// errOwnOnly is for people who may read the repository with a token of ours,
// were it not in pass-through mode.
func errOwnOnly(repo ferry.Repository) error {
	return &ferry.Message{Kind: ferry.ErrDenied,
		Text: repo.Path() + " takes your own CodeCommit git credentials over HTTPS, not a gitferry token or key: IAM decides who may use it. Make them in the AWS console under IAM, Security credentials"}
}

// An ownAccess is a request that upstream allowed with a person's own
// credentials.
type ownAccess struct {
	repo   ferry.Repository
	target upstream.Target // with these credentials
}

// passing returns the enabled repository in pass-through mode that path names,
// if there is exactly one.
func (s *Server) passing(ctx context.Context, path string) (ferry.Repository, bool, error) {
	candidates, err := s.named(ctx, path)
	if errors.Is(err, ferry.ErrNotFound) {
		return ferry.Repository{}, false, nil
	}
	if err != nil {
		return ferry.Repository{}, false, err
	}
	var found []ferry.Repository
	for _, r := range candidates {
		on, err := s.passesThrough(ctx, r)
		if err != nil {
			return r, false, err
		}
		if on && r.State != ferry.RepositoryDisabled {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return ferry.Repository{}, false, nil
	}
	return found[0], true, nil
}

// passesThrough reports whether a repository is in pass-through mode.
func (s *Server) passesThrough(ctx context.Context, repo ferry.Repository) (bool, error) {
	i, err := s.Store.Integration(ctx, repo.IntegrationID)
	if errors.Is(err, ferry.ErrNotFound) { // disconnected just now
		return false, nil
	}
	return i.PassThrough && i.Kind == ferry.KindCodeCommit, err
}

// signInOwn lets in whom upstream lets in, with credentials of IAM's form.
func (h *httpGit) signInOwn(user, password, service string) (ferry.Subject, error) {
	ctx, s := h.r.Context(), h.s
	repo, on, err := s.passing(ctx, h.path)
	if err != nil {
		return ferry.Subject{}, err
	}
	if !on {
		return ferry.Subject{}, errPass
	}
	target, err := s.ownTarget(ctx, repo, user, password)
	if err != nil {
		return ferry.Subject{}, err
	}
	if err := s.ask(ctx, repo, target, service, h.r.RemoteAddr); err != nil {
		return ferry.Subject{}, err
	}
	h.own = &ownAccess{repo, target}
	if service == "git-upload-pack" && !s.offlineRead(target, repo) {
		if err := s.mustBeFresh(ctx, repo); err != nil {
			return ferry.Subject{}, err
		}
	}
	// Nobody of ours: what needs an account here, such as Jira in their own
	// name, they do not have.
	return ferry.Subject{User: ferry.User{Name: user}, Credential: "codecommit " + user}, nil
}

// ownTarget is the repository's upstream with a person's own credentials.
func (s *Server) ownTarget(ctx context.Context, repo ferry.Repository, user, password string) (upstream.Target, error) {
	t, err := s.Target(ctx, repo)
	if err != nil {
		return upstream.Target{}, err
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return upstream.Target{}, &ferry.Message{Kind: ferry.ErrUnavailable,
			Text: repo.Path() + " is connected over SSH, so your own git credentials cannot be passed on; ask an administrator to connect it over HTTPS"}
	}
	u.User = nil
	return upstream.Target{URL: u.String(), Auth: ferry.GitAuthBasic, GitUsername: user, Region: t.Region,
		Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(password)}, PrivateNetwork: t.PrivateNetwork}, nil
}

// ask has upstream decide whether a service may be used with the target's
// credentials, unless it said yes a moment ago. Refusals are not remembered,
// only counted.
func (s *Server) ask(ctx context.Context, repo ferry.Repository, target upstream.Target, service, address string) error {
	id := s.passes.id(target.GitUsername, target.Credentials.GitPassword.Reveal(), repo.ID, service)
	if s.passes.known(id, s.now()) {
		return nil
	}
	names := []string{"user " + target.GitUsername, "address " + network(address)}
	for _, n := range names {
		leave, err := s.gates.enter(ctx, passName(n), passAtOnce, passPatient)
		if err != nil {
			return err
		}
		defer leave()
	}
	if s.passes.known(id, s.now()) {
		return nil
	}
	if !s.passes.mayTry(names, s.now()) {
		return &statusError{http.StatusTooManyRequests, "too many refused tries with CodeCommit git credentials; wait a minute"}
	}
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	err := s.askUpstream(ctx, target, service)
	switch {
	case err == nil:
		s.passes.remember(id, s.now())
		return nil
	case errors.Is(err, ferry.ErrUnavailable) && service == "git-upload-pack" && s.offlineRead(target, repo):
		s.Log.Warn("upstream cannot be asked; its last yes to own credentials holds", "repo", repo.Path(), "iam_user", target.GitUsername, "err", err)
		return nil
	case errors.Is(err, ferry.ErrDenied), errors.Is(err, ferry.ErrNotFound):
		s.passes.forget(id)
		s.passes.fail(names, s.now())
		s.Log.Info("own credentials refused by upstream", "repo", repo.Path(), "iam_user", target.GitUsername, "remote", address, "service", service)
		other := s.passes.id(target.GitUsername, target.Credentials.GitPassword.Reveal(), repo.ID, otherService(service))
		if s.passes.known(other, s.now()) { // they are good, but not for this
			return &ferry.Message{Kind: ferry.ErrDenied, Cause: err, Text: fmt.Sprintf("CodeCommit does not let %s do this to %s: IAM lacks codecommit:%s", target.GitUsername, repo.Path(), iamAction(service))}
		}
		return errPass
	}
	return s.upstreamProblem(repo, err)
}

// passName keeps these gates apart from others.
type passName string

func otherService(service string) string {
	if service == "git-upload-pack" {
		return "git-receive-pack"
	}
	return "git-upload-pack"
}

func iamAction(service string) string {
	if service == "git-receive-pack" {
		return "GitPush"
	}
	return "GitPull"
}

// askUpstream asks for info/refs of the service.
func (s *Server) askUpstream(ctx context.Context, target upstream.Target, service string) error {
	if service == "git-upload-pack" {
		_, err := s.Dialer.Look(ctx, target)
		return err
	}
	up, err := s.Dialer.ReceivePack(ctx, target)
	if err == nil {
		up.Abort()
	}
	return err
}

// offlineRead reports whether the target's credentials may read repo while
// upstream cannot be asked: it said yes within the grace.
func (s *Server) offlineRead(target upstream.Target, repo ferry.Repository) bool {
	id := s.passes.id(target.GitUsername, target.Credentials.GitPassword.Reveal(), repo.ID, "git-upload-pack")
	return s.passes.within(id, s.now(), s.Limits.PassOffline)
}

// mustBeFresh refuses a read while upstream cannot be asked: whoever lost the
// right to it must not go on with the mirror.
func (s *Server) mustBeFresh(ctx context.Context, repo ferry.Repository) error {
	view, err := s.freshen(ctx, repo)
	if err == nil && view.Failure != nil {
		err = s.upstreamProblem(repo, view.Failure)
	}
	return err
}

// network groups what one person easily has many of: an IPv6 network.
func network(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		host = remoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// isOurs reports whether a password is a token of ours.
func isOurs(password string) bool { return strings.HasPrefix(password, "gf_") }
