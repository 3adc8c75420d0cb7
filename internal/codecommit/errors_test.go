package codecommit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

func awsError(code, message string) string {
	b, err := json.Marshal(map[string]string{"__type": code, "message": message})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestErrorTexts(t *testing.T) {
	const create = `{"repositoryName":"r","branchName":"b","commitId":"` + oidA + `"}`
	const arn = "arn:aws:iam::123456789012:user/ferry"
	for _, c := range []struct {
		code, message string
		status        int
		kind          error
		texts         []string
	}{
		{"AccessDeniedException", "User: " + arn + " is not authorized to perform: codecommit:CreateBranch on resource: arn:aws:codecommit:us-east-1:123456789012:r because no identity-based policy allows the codecommit:CreateBranch action",
			400, ferry.ErrDenied, []string{arn + " lacks the permission codecommit:CreateBranch on arn:aws:codecommit:us-east-1:123456789012:r", "store your own credentials", "[AccessDeniedException]"}},
		{"AccessDeniedException", "User: " + arn + " is not authorized to perform: codecommit:CreateBranch with an explicit deny in a service control policy",
			400, ferry.ErrDenied, []string{"denies it explicitly"}},
		{"UnrecognizedClientException", "The security token included in the request is invalid.", 400, ferry.ErrDenied, []string{"key is inactive", "two access keys", "[UnrecognizedClientException]"}},
		{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided.", 400, ferry.ErrDenied, []string{"secret is wrong"}},
		{"ExpiredTokenException", "The security token included in the request is expired", 400, ferry.ErrDenied, []string{"have expired"}},
		{"BranchNameExistsException", "exists", 400, ferry.ErrConflict, []string{"branch b of r exists already [BranchNameExistsException]"}},
		{"prefix#InvalidBranchNameException", "no", 400, ferry.ErrInvalid, []string{"does not allow this name", "[InvalidBranchNameException]"}},
		{"CommitDoesNotExistException", "no", 400, ferry.ErrNotFound, []string{"reload"}},
		{"RepositoryDoesNotExistException", "no", 400, ferry.ErrNotFound, []string{"reindex"}},
		{"EncryptionKeyDisabledException", "no", 400, ferry.ErrUnavailable, []string{"KMS"}},
		{"InvalidCommitIdException", "not\x1b[2Jgood", 400, ferry.ErrInvalid, []string{"not[2Jgood"}},
		{"TooStrangeException", "hm", 400, ferry.ErrUnavailable, []string{"hm [TooStrangeException]"}},
	} {
		t.Run(c.code, func(t *testing.T) {
			p := play(t, exchange{operation: "CreateBranch", request: create, status: c.status, answer: awsError(c.code, c.message)})
			err := p.client().CreateBranch(t.Context(), "r", "b", mustOID(oidA))
			var message *ferry.Message
			if !errors.As(err, &message) || !errors.Is(err, c.kind) {
				t.Fatalf("CreateBranch = %v, want a message of kind %v", err, c.kind)
			}
			for _, text := range c.texts {
				if !strings.Contains(message.Text, text) {
					t.Errorf("text %q lacks %q", message.Text, text)
				}
			}
			if want := c.code[strings.IndexByte(c.code, '#')+1:]; Code(err) != want {
				t.Errorf("Code = %q, want %q", Code(err), want)
			}
			if denied := c.code == "AccessDeniedException"; denied != (MissingAction(err) == "codecommit:CreateBranch") {
				t.Errorf("MissingAction = %q", MissingAction(err))
			}
		})
	}
}

func TestEveryCodeHasAnAnswer(t *testing.T) {
	// product-behaviour's table of branch and pull request errors.
	for code, kind := range map[string]error{
		"InvalidReferenceNameException":            ferry.ErrInvalid,
		"ReferenceDoesNotExistException":           ferry.ErrNotFound,
		"BranchDoesNotExistException":              ferry.ErrNotFound,
		"DefaultBranchCannotBeDeletedException":    ferry.ErrConflict,
		"MaximumOpenPullRequestsExceededException": ferry.ErrConflict,
		"SourceAndDestinationAreSameException":     ferry.ErrInvalid,
		"InvalidTitleException":                    ferry.ErrInvalid,
		"InvalidDescriptionException":              ferry.ErrInvalid,
		"IdempotencyParameterMismatchException":    ferry.ErrConflict,
	} {
		p := play(t, exchange{operation: "GetPullRequest", request: `{"pullRequestId":"1"}`, status: 400, answer: awsError(code, "x")})
		if _, err := p.client().PullRequest(t.Context(), "1"); !errors.Is(err, kind) || !strings.HasSuffix(err.Error(), "["+code+"]") {
			t.Errorf("%s = %v, want kind %v", code, err, kind)
		}
	}
}

func TestPersonalCredentialsAreSpokenOf(t *testing.T) {
	get := exchange{operation: "GetPullRequest", request: `{"pullRequestId":"1"}`, status: 400}
	for code, text := range map[string]string{
		"UnrecognizedClientException": "your own AWS credentials were refused",
		"AccessDeniedException":       "your own AWS credentials were used",
	} {
		get.answer = awsError(code, "no")
		cfg := testConfig(play(t, get).url)
		cfg.Personal = true
		c, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.PullRequest(t.Context(), "1"); !errors.Is(err, ferry.ErrDenied) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s = %v, want %q", code, err, text)
		}
	}
}

func TestSNSDenied(t *testing.T) {
	p := play(t, exchange{operation: "CreateTopic", request: "Name=codecommit-x", status: 403,
		answer: `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>User: arn:aws:iam::1:user/u is not authorized to perform: SNS:CreateTopic on resource: arn:aws:sns:us-east-1:1:codecommit-x</Message></Error><RequestId>1</RequestId></ErrorResponse>`})
	_, err := p.client().CreateTopic(t.Context(), "codecommit-x")
	if !errors.Is(err, ferry.ErrDenied) || MissingAction(err) != "sns:CreateTopic" {
		t.Errorf("CreateTopic = %v, missing %q", err, MissingAction(err))
	}
}

func TestClockText(t *testing.T) {
	for said, want := range map[string]string{
		"Signature expired: 20260101T120000Z is now earlier than 20260101T123500Z (20260101T124000Z - 5 min.)":         "differ by 40 minutes",
		"Signature not yet current: 20260101T124000Z is still later than 20260101T120500Z (20260101T120000Z + 5 min.)": "differ by 40 minutes",
		"Signature expired: whatever":                        "more than 5 minutes",
		"The request signature we calculated does not match": "",
	} {
		got := clockText("InvalidSignatureException", said)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("clockText(%q) = %q, want %q", said, got, want)
		}
	}
}

func TestThrottlingIsRetriedThenTold(t *testing.T) {
	get := exchange{operation: "GetPullRequest", request: `{"pullRequestId":"1"}`, status: 400, answer: awsError("ThrottlingException", "Rate exceeded")}
	ok := exchange{operation: "GetPullRequest", request: `{"pullRequestId":"1"}`, answer: awsPullRequest("OPEN", `{"isMerged":false}`)}
	c := play(t, get, ok).client()
	if _, err := c.PullRequest(t.Context(), "1"); err != nil {
		t.Errorf("PullRequest after one throttling: %v", err)
	}
	if got := c.cfg.Limiter.bucket.Limit(); got != firstRate/2 {
		t.Errorf("rate after one throttling = %v, want %v", got, firstRate/2)
	}
	_, err := play(t, get, get, get, get).client().PullRequest(t.Context(), "1")
	if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "tried 4 times") {
		t.Errorf("PullRequest under throttling = %v", err)
	}
}

func TestLimiterRecovers(t *testing.T) {
	l := NewLimiter()
	for range 20 {
		l.throttled = time.Time{}
		l.slow()
	}
	if got := l.bucket.Limit(); got != lastRate {
		t.Errorf("rate after many throttlings = %v, want %v", got, lastRate)
	}
	l.succeed()
	if got := l.bucket.Limit(); got != lastRate {
		t.Errorf("rate grew to %v at once", got)
	}
	l.throttled = time.Now().Add(-2 * recovery)
	for range 100 {
		l.succeed()
	}
	if got := l.bucket.Limit(); got != firstRate {
		t.Errorf("rate after recovery = %v, want %v", got, firstRate)
	}
}

func TestServersThatAreNotAWS(t *testing.T) {
	ask := func(url string) error {
		c, err := New(t.Context(), testConfig(url))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.PullRequest(t.Context(), "1")
		return err
	}
	check := func(name string, err error, text string) {
		t.Helper()
		if !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want ferry.ErrUnavailable and %q", name, err, text)
		}
	}
	hit := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer elsewhere.Close()
	redirect := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	err := ask(redirect.URL)
	if !errors.Is(err, ferry.ErrUnavailable) || hit {
		t.Errorf("redirect: %v, followed %t", err, hit)
	}
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer html.Close()
	check("page", ask(html.URL), "no usable answer")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	check("nobody", ask("http://"+ln.Addr().String()), "connection refused")
}
