package ghapi

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"

	codecommitclient "gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/pulls"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/smartcommit"
	"gitferry/internal/upstream"
)

// hosted is a stand-in CodeCommit behind the world's repository us-east-1/demo.
type hosted struct {
	w      *world
	aws    *codecommit.Server
	server *httptest.Server
	repo   ferry.Repository
	ahead  time.Duration // of the clock that comments are remembered by
}

// host pushes all of repo to a stand-in and connects it from there, so that
// branches, pull requests and comments are made at a host.
func (w *world) host(repo *gittest.Repo) *hosted {
	w.t.Helper()
	ctx, log := w.t.Context(), slog.New(slog.DiscardHandler)
	h := &hosted{w: w}
	var err error
	h.aws, err = codecommit.New(codecommit.Config{Dir: w.t.TempDir(), Git: w.git, Users: []string{"gitferry", "alice"}, Log: log})
	w.must(err)
	h.server = httptest.NewServer(h.aws.Handler())
	w.t.Cleanup(h.server.Close)
	w.must(h.aws.CreateRepository(ctx, "us-east-1", "demo", ""))
	c, _ := h.aws.CredentialsOf("gitferry")
	at, err := url.Parse(h.server.URL + "/us-east-1/v1/repos/demo")
	w.must(err)
	plain := at.String()
	at.User = url.UserPassword(c.GitUsername, c.GitPassword)
	repo.Run("push", "--quiet", "--mirror", at.String())

	w.owner.AccessKeyID, w.owner.APIEndpoint, w.owner.GitEndpoint, w.owner.PrivateNetwork = c.AccessKeyID, h.server.URL, h.server.URL, true
	w.owner.GitAuth, w.owner.GitUsername = ferry.GitAuthBasic, c.GitUsername
	secrets := ferry.Credentials{SecretAccessKey: ferry.NewSecret(c.SecretAccessKey), GitPassword: ferry.NewSecret(c.GitPassword)}
	w.must(w.store.UpdateIntegration(ctx, w.owner, &secrets))
	dialer := upstream.NewDialer(log, "test")
	w.t.Cleanup(dialer.Close)
	w.mirror.Dialer, w.mirror.Target = dialer, func(context.Context, ferry.Repository) (upstream.Target, error) {
		return upstream.Target{URL: plain, Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true, Credentials: secrets}, nil
	}
	w.server.Pulls = &pulls.Host{Store: w.store, Git: w.git, Mirror: w.mirror, HTTP: dialer.HTTPClient, Log: log,
		Now: func() time.Time { return time.Now().Add(h.ahead) },
		Client: func(ctx context.Context, i ferry.Integration) (*codecommitclient.Client, error) {
			return codecommitclient.New(ctx, codecommitclient.Config{Integration: i, Credentials: secrets, HTTP: dialer.HTTPClient(true)})
		},
		Parse: func(context.Context) (smartcommit.Options, error) {
			return smartcommit.Options{Projects: map[string]bool{"DEMO": true}}, nil
		},
		Index: w.index.Repository}
	h.repo, err = w.store.AddRepository(ctx, ferry.Repository{IntegrationID: w.owner.ID, Name: "demo", Region: "us-east-1", HostID: "demo", CloneURL: plain, DefaultBranch: "main"})
	w.must(err)
	w.must(w.mirror.Copy(ctx, h.repo, nil))
	w.must(w.index.Repository(ctx, h.repo))
	return h
}

// sdk is AWS's own client in the name of a user of the stand-in.
func (h *hosted) sdk(user string) *awscodecommit.Client {
	c, _ := h.aws.CredentialsOf(user)
	return awscodecommit.New(awscodecommit.Options{Region: "us-east-1", BaseEndpoint: aws.String(h.server.URL),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
}
