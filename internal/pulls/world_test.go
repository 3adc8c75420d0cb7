package pulls

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	standin "gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/faults"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// world is a Host with a stand-in behind it: repository demo with a branch
// main, and the users gitferry (the integration's), alice and bob.
type world struct {
	t      *testing.T
	aws    *standin.Server
	url    string
	store  *store.Store
	host   *Host
	in     ferry.Integration
	repo   ferry.Repository
	alice  Person
	work   *gittest.Repo
	queued atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	w := &world{t: t}
	g, err := git.New(ctx, t.TempDir())
	check(t, err)
	w.aws, err = standin.New(standin.Config{Dir: t.TempDir(), Users: []string{"gitferry", "alice", "bob"}, Git: g, Log: log})
	check(t, err)
	srv := httptest.NewServer(w.aws.Handler())
	t.Cleanup(srv.Close)
	w.url = srv.URL
	check(t, w.aws.CreateRepository(ctx, "us-east-1", "demo", ""))

	w.store, err = store.Open(ctx, t.TempDir()+"/books.db", store.Options{MasterKey: make([]byte, 32), Log: log})
	check(t, err)
	t.Cleanup(func() { w.store.Close() })
	c := w.aws.Credentials()
	w.in, err = w.store.AddIntegration(ctx, ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1", Account: "123456789012",
		GitAuth: ferry.GitAuthBasic, AccessKeyID: c.AccessKeyID, GitUsername: c.GitUsername, APIEndpoint: w.url, GitEndpoint: w.url, PrivateNetwork: true},
		ferry.Credentials{SecretAccessKey: ferry.NewSecret(c.SecretAccessKey), GitPassword: ferry.NewSecret(c.GitPassword)})
	check(t, err)
	w.repo, err = w.store.AddRepository(ctx, ferry.Repository{IntegrationID: w.in.ID, Owner: w.in.Slug, Name: "demo", Region: "us-east-1",
		CloneURL: w.url + "/us-east-1/v1/repos/demo", State: ferry.RepositoryEnabled})
	check(t, err)
	user, err := w.store.AddUser(ctx, ferry.User{Name: "alice", Display: "Alice B."})
	check(t, err)
	w.alice = Person{Subject: ferry.Subject{User: user, Grants: []ferry.Grant{{Glob: "**", Level: ferry.LevelWrite}}, Credential: "session"}, Address: "192.0.2.1:5"}

	dialer := upstream.NewDialer(log, "test")
	t.Cleanup(dialer.Close)
	m := &mirror.Dir{Root: t.TempDir(), Git: g, Dialer: dialer, Log: log, Target: func(_ context.Context, r ferry.Repository) (upstream.Target, error) {
		return upstream.Target{URL: r.CloneURL, Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true,
			Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(c.GitPassword)}}, nil
	}}
	w.host = &Host{Store: w.store, Git: g, Mirror: m, HTTP: dialer.HTTPClient, Log: log,
		Client: func(ctx context.Context, i ferry.Integration) (*codecommit.Client, error) {
			secrets, err := w.store.Credentials(ctx, i.ID)
			if err != nil {
				return nil, err
			}
			return codecommit.New(ctx, codecommit.Config{Integration: i, Credentials: secrets, HTTP: dialer.HTTPClient(true)})
		},
		Parse: func(context.Context) (smartcommit.Options, error) {
			return smartcommit.Options{Projects: map[string]bool{"DEMO": true, "OPS": true}}, nil
		},
		Issue: func(_ context.Context, key ferry.IssueKey) (string, string, error) {
			return "Improve letterbox and rendering", "New Feature", nil
		},
		Index:  w.index,
		Queued: func() { w.queued.Add(1) },
	}
	w.work = gittest.New(t)
	w.work.Run("remote", "add", "origin", strings.Replace(w.repo.CloneURL, "://", "://"+c.GitUsername+":"+strings.NewReplacer("/", "%2F", "+", "%2B", "=", "%3D").Replace(c.GitPassword)+"@", 1))
	w.commit("main", "begin", "README")
	check(t, m.Copy(ctx, w.repo, nil))
	check(t, w.index(ctx, w.repo))
	return w
}

// index makes the books' refs those of the mirror.
func (w *world) index(ctx context.Context, repo ferry.Repository) error {
	now, err := w.host.Mirror.Refs(ctx, repo)
	if err != nil {
		return err
	}
	have, err := w.store.Refs(ctx, repo.ID)
	if err != nil {
		return err
	}
	c := store.Change{Repository: repo.ID}
	for name, oid := range now {
		if have[name] != oid {
			c.Updates = append(c.Updates, ferry.RefUpdate{Name: name, Old: have[name], New: oid})
		}
	}
	for name, oid := range have {
		if _, ok := now[name]; !ok {
			c.Updates = append(c.Updates, ferry.RefUpdate{Name: name, Old: oid})
		}
	}
	_, err = w.store.Apply(ctx, c)
	return err
}

// commit pushes a commit on a branch, made from main if it is new, straight
// to the stand-in.
func (w *world) commit(branch, message, file string) ferry.OID {
	w.t.Helper()
	if branch != "main" {
		w.work.Run("checkout", "--quiet", "-B", branch)
	}
	oid := w.work.Commit(message, file, message)
	w.work.Run("push", "--quiet", "origin", "HEAD:refs/heads/"+branch)
	w.work.Run("checkout", "--quiet", "main")
	return oid
}

// sdk is AWS's own client in the name of a user of the stand-in.
func (w *world) sdk(user string) *awscodecommit.Client {
	c, _ := w.aws.CredentialsOf(user)
	return awscodecommit.New(awscodecommit.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.url),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
}

// pull opens a pull request behind our back and returns its number.
func (w *world) pull(user, source, title, description string) string {
	w.t.Helper()
	out, err := w.sdk(user).CreatePullRequest(w.t.Context(), &awscodecommit.CreatePullRequestInput{Title: aws.String(title), Description: aws.String(description),
		Targets: []types.Target{{RepositoryName: aws.String("demo"), SourceReference: aws.String(source), DestinationReference: aws.String("main")}}})
	check(w.t, err)
	return *out.PullRequest.PullRequestId
}

func (w *world) sync() {
	w.t.Helper()
	check(w.t, w.host.Sync(w.t.Context(), w.repo))
}

// pulls returns the pull requests in the books.
func (w *world) pulls() []store.PullRequest {
	w.t.Helper()
	list, err := w.store.PullRequests(w.t.Context(), store.PullRequestFilter{Repository: w.repo.ID})
	check(w.t, err)
	return list
}

// control asks the stand-in's control face.
func (w *world) control(method, path, body string) []byte {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+"/_sandbox/"+path, strings.NewReader(body))
	check(w.t, err)
	resp, err := http.DefaultClient.Do(req)
	check(w.t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	check(w.t, err)
	if resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, out)
	}
	return out
}

// calls returns the operations in the stand-in's ledger since the last call,
// without those of git.
func (w *world) calls() []string {
	w.t.Helper()
	var names []string
	for line := range bytes.Lines(w.control("GET", "ledger", "")) {
		var e faults.Entry
		check(w.t, json.Unmarshal(line, &e))
		if e.Operation != "" && !strings.HasPrefix(e.Operation, "git-") {
			names = append(names, e.Operation)
		}
	}
	w.control("DELETE", "ledger", "")
	return names
}

// fail makes an operation answer with an AWS error.
func (w *world) fail(operation, code, message string, times int) {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"__type": code, "message": message})
	text := string(body)
	rules, err := json.Marshal([]faults.Rule{{Operation: operation, Status: 400, Body: &text, Type: "application/x-amz-json-1.1", Times: times}})
	check(w.t, err)
	w.control("PUT", "faults", string(rules))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
