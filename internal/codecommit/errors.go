package codecommit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"gitferry/internal/ferry"
)

// An AccessDenied says which IAM action is missing. Reach it with errors.As.
type AccessDenied struct {
	Action   string // "codecommit:CreateBranch"
	ARN      string // who was refused; empty if AWS did not say
	Resource string // on what; empty if AWS did not say
	Explicit bool   // a policy denies it; adding a permission is not enough
	Code     string // AWS's error code
}

func (e *AccessDenied) Error() string {
	return fmt.Sprintf("%s is not allowed for %s [%s]", e.Action, orText(e.ARN, "these credentials"), e.Code)
}

// Code returns AWS's error code behind err, such as
// "BranchNameExistsException", or "".
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

var (
	deniedUser   = regexp.MustCompile(`User: (\S+) is not authorized`)
	deniedAction = regexp.MustCompile(`not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9]+)`)
	deniedOn     = regexp.MustCompile(`on resource: (\S+)`)
)

// fault puts what the SDK returned in words.
func (c *Client) fault(what call, err error) error {
	var message *ferry.Message
	if errors.As(err, &message) {
		return message // from the guarded transport
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return c.networkFault(what, err)
	}
	code := api.ErrorCode()
	switch code {
	case "AccessDeniedException", "AccessDenied", "AuthorizationError", "AuthorizationErrorException":
		return c.denied(what, api, err)
	}
	kind, text := c.explain(what, api, attempts(err))
	return &ferry.Message{Kind: kind, Text: fmt.Sprintf("%s [%s]", text, oneLine(code)), Cause: err}
}

func attempts(err error) int {
	var spent *retry.MaxAttemptsError
	if errors.As(err, &spent) {
		return spent.Attempt
	}
	return 1
}

func (c *Client) whose() string {
	if c.cfg.Personal {
		return "your own AWS credentials"
	}
	return "the integration's AWS credentials"
}

func (c *Client) denied(what call, api smithy.APIError, err error) error {
	said := api.ErrorMessage()
	d := &AccessDenied{Action: what.action, Code: api.ErrorCode(), Explicit: strings.Contains(said, "explicit deny")}
	if m := deniedUser.FindStringSubmatch(said); m != nil {
		d.ARN = oneLine(m[1])
	}
	if m := deniedAction.FindStringSubmatch(said); m != nil {
		service, name, _ := strings.Cut(m[1], ":")
		d.Action = strings.ToLower(service) + ":" + name // SNS writes "SNS:CreateTopic"
	}
	if m := deniedOn.FindStringSubmatch(said); m != nil {
		d.Resource = oneLine(m[1])
	}
	text := fmt.Sprintf("%s lacks the permission %s", orText(d.ARN, c.whose()), d.Action)
	if d.Resource != "" {
		text += " on " + d.Resource
	}
	switch {
	case d.Explicit:
		text += "; a policy denies it explicitly: an AWS administrator has to change that policy"
	case d.Action == "sts:AssumeRole":
		text += "; the trust policy of the role must name these credentials, and ask for no other external id than the integration's"
	case c.cfg.Personal:
		text += "; your own AWS credentials were used: ask for the permission, or remove them in your settings"
	default:
		text += "; the integration's AWS credentials were used: add the permission to their policy, or store your own credentials in your settings"
	}
	return &ferry.Message{
		Kind:  ferry.ErrDenied,
		Text:  fmt.Sprintf("%s [%s]", text, d.Code),
		Cause: fmt.Errorf("%w: %w", d, err),
	}
}

// explain returns kind and text for an error code.
//
//lint:ignore ST1008 the error is a kind to be wrapped, not a failure of this function
func (c *Client) explain(what call, api smithy.APIError, tries int) (error, string) {
	code, said := api.ErrorCode(), oneLine(api.ErrorMessage())
	if e, ok := explanations[code]; ok {
		return e.kind, strings.ReplaceAll(e.text, "{subject}", what.subject)
	}
	region := c.cfg.Integration.Region
	switch code {
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed":
		if text := clockText(code, said); text != "" {
			return ferry.ErrDenied, text
		}
		return ferry.ErrDenied, c.keyText()
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "MissingAuthenticationTokenException", "IncompleteSignatureException":
		return ferry.ErrDenied, c.keyText()
	case "ExpiredTokenException", "ExpiredToken":
		return ferry.ErrDenied, "the temporary AWS credentials have expired; enter new ones"
	case "OptInRequired", "SubscriptionRequiredException":
		return ferry.ErrDenied, fmt.Sprintf("the region %s is not enabled for this account, or has no CodeCommit", region)
	case "ThrottlingException", "Throttling", "Throttled", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded":
		return ferry.ErrUnavailable, fmt.Sprintf("AWS is slowing requests down (tried %d times); try again in a minute", tries)
	}
	var status *smithyhttp.ResponseError
	has := func(prefix, suffix string) bool {
		return strings.HasPrefix(code, prefix) && strings.HasSuffix(code, suffix)
	}
	switch {
	case api.ErrorFault() == smithy.FaultServer, errors.As(api, &status) && status.HTTPStatusCode() >= 500,
		code == "InternalFailure", code == "InternalError", code == "ServiceUnavailable":
		return ferry.ErrUnavailable, fmt.Sprintf("AWS cannot answer for %s at the moment; try again later", what.subject)
	case has("EncryptionKey", "Exception"), has("EncryptionIntegrity", "Exception"):
		return ferry.ErrUnavailable, fmt.Sprintf("%s is not readable: its encryption key in KMS is disabled or missing, or the credentials may not use it", what.subject)
	case has("", "DoesNotExistException"), code == "NotFound", code == "NotFoundException":
		return ferry.ErrNotFound, fmt.Sprintf("%s or something that it names does not exist: %s", what.subject, said)
	case has("Maximum", "Exception"), has("", "LimitExceeded"), has("", "LimitExceededException"):
		return ferry.ErrConflict, fmt.Sprintf("a limit of AWS is reached for %s: %s", what.subject, said)
	case has("Concurrent", ""):
		return ferry.ErrConflict, fmt.Sprintf("%s was changed by somebody else at the same time; try again", what.subject)
	case has("Invalid", ""), has("", "RequiredException"), code == "ValidationException", code == "SerializationException":
		return ferry.ErrInvalid, fmt.Sprintf("AWS refuses the request about %s: %s", what.subject, said)
	}
	return ferry.ErrUnavailable, fmt.Sprintf("AWS answers about %s: %s", what.subject, orText(said, "an error without a text"))
}

func (c *Client) keyText() string {
	if c.cfg.Personal {
		return "your own AWS credentials were refused: the access key or its secret is wrong or inactive; nothing was done; replace them in your settings"
	}
	return fmt.Sprintf("AWS does not accept the access key: its ID or its secret is wrong, the key is inactive, or the region %s is not enabled for the account; make a new pair in IAM (an IAM user can have two access keys)",
		c.cfg.Integration.Region)
}

// skewed finds the times in "Signature expired: OURS is now earlier than …
// (THEIRS - 5 min.)" and "Signature not yet current: OURS is still later than
// … (THEIRS + 5 min.)".
var skewed = regexp.MustCompile(`: (\d{8}T\d{6}Z) is .*\((\d{8}T\d{6}Z) [-+]`)

// clockText explains a signature refused for its time, or returns "".
func clockText(code, said string) string {
	if m := skewed.FindStringSubmatch(said); m != nil {
		ours, err1 := time.Parse("20060102T150405Z", m[1])
		theirs, err2 := time.Parse("20060102T150405Z", m[2])
		if err1 == nil && err2 == nil {
			return fmt.Sprintf("the clock of this machine and AWS's differ by %d minutes; set the clock", int(ours.Sub(theirs).Abs().Round(time.Minute)/time.Minute))
		}
	}
	if code == "RequestExpired" || code == "RequestTimeTooSkewed" ||
		strings.Contains(said, "Signature expired") || strings.Contains(said, "not yet current") {
		return "the clock of this machine and AWS's differ by more than 5 minutes; set the clock"
	}
	return ""
}

// explanations holds the codes that people meet, with what to do about them.
var explanations = map[string]struct {
	kind error
	text string
}{
	"RepositoryDoesNotExistException":                 {ferry.ErrNotFound, "{subject} does not exist at CodeCommit, or not under this name any more; reindex the integration"},
	"BranchDoesNotExistException":                     {ferry.ErrNotFound, "a branch is gone; reload and choose again ({subject})"},
	"CommitDoesNotExistException":                     {ferry.ErrNotFound, "the source commit is not at CodeCommit any more; reload and choose again ({subject})"},
	"ReferenceDoesNotExistException":                  {ferry.ErrNotFound, "the source or the target branch is gone or was changed; reload and choose again ({subject})"},
	"PullRequestDoesNotExistException":                {ferry.ErrNotFound, "{subject} does not exist"},
	"BranchNameExistsException":                       {ferry.ErrConflict, "{subject} exists already"},
	"InvalidBranchNameException":                      {ferry.ErrInvalid, "CodeCommit does not allow this name: {subject}"},
	"InvalidReferenceNameException":                   {ferry.ErrInvalid, "CodeCommit does not allow this name: {subject}"},
	"DefaultBranchCannotBeDeletedException":           {ferry.ErrConflict, "the main branch cannot be deleted ({subject})"},
	"MaximumOpenPullRequestsExceededException":        {ferry.ErrConflict, "too many pull requests are open in this repository; close some ({subject})"},
	"SourceAndDestinationAreSameException":            {ferry.ErrInvalid, "source and target are the same branch; choose two"},
	"InvalidTitleException":                           {ferry.ErrInvalid, "the title is empty or longer than 150 characters"},
	"TitleRequiredException":                          {ferry.ErrInvalid, "a title is needed"},
	"InvalidDescriptionException":                     {ferry.ErrInvalid, "the description is longer than 10,240 characters"},
	"IdempotencyParameterMismatchException":           {ferry.ErrConflict, "this dialog was already used for another request; open it anew"},
	"ClientRequestTokenRequiredException":             {ferry.ErrInvalid, "the request lacks its token"},
	"MaximumRepositoryTriggersExceededException":      {ferry.ErrConflict, "{subject} has 10 triggers already, which is AWS's limit; it is polled instead"},
	"InvalidRepositoryTriggerRegionException":         {ferry.ErrInvalid, "the topic is not in the region of {subject}"},
	"InvalidRepositoryTriggerDestinationArnException": {ferry.ErrInvalid, "the topic of the trigger is not a standard SNS topic ({subject})"},
	"FilterPolicyLimitExceeded":                       {ferry.ErrConflict, "AWS's limit of filter policies is reached ({subject})"},
}

// networkFault explains calls that never got an answer from AWS.
func (c *Client) networkFault(what call, err error) error {
	m := &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err}
	host := c.host(what)
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var ne net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		m.Text = fmt.Sprintf("%s does not exist: the region %s has no CodeCommit or is not enabled for the account, or this machine cannot resolve names", dns.Name, c.cfg.Integration.Region)
	case errors.As(err, &verify):
		m.Text = fmt.Sprintf("%s has a certificate problem: %s", host, oneLine(verify.Err.Error()))
	case errors.Is(err, syscall.ECONNREFUSED):
		m.Text = fmt.Sprintf("cannot reach %s: connection refused; gitferry reaches AWS over port 443", host)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		m.Text = fmt.Sprintf("%s did not answer in time (tried %d times); gitferry reaches AWS over port 443", host, attempts(err))
	case isRedirect(err):
		m.Text = fmt.Sprintf("%s redirects elsewhere; redirects are not followed: correct the end point", host)
	case strings.Contains(err.Error(), "credential"):
		m.Kind = ferry.ErrDenied
		m.Text = "no AWS credentials could be had: " + oneLine(lastOf(err))
	default:
		m.Text = fmt.Sprintf("no usable answer from %s about %s: %s", host, what.subject, oneLine(lastOf(err)))
	}
	return m
}

func isRedirect(err error) bool {
	var status *smithyhttp.ResponseError
	return errors.As(err, &status) && status.HTTPStatusCode() >= 300 && status.HTTPStatusCode() < 400
}

func (c *Client) host(what call) string {
	in := c.cfg.Integration
	service, _, _ := strings.Cut(what.action, ":")
	for _, e := range []struct{ service, endpoint string }{{"sns", in.SNSEndpoint}, {"sts", in.STSEndpoint}, {"codecommit", in.APIEndpoint}} {
		if e.service == service && e.endpoint != "" {
			_, host, _ := strings.Cut(e.endpoint, "://")
			return strings.TrimRight(host, "/")
		}
	}
	if service == "codecommit" {
		return APIHost(in.Region, false)
	}
	return service + "." + in.Region + "." + PartitionOf(in.Region).Suffix
}

// lastOf returns the innermost text, without the SDK's chain in front of it.
func lastOf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// oneLine makes foreign text fit for a message: one line, printable, at most
// 300 bytes.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
