// Package codecommit calls AWS: CodeCommit's API, the few operations of SNS
// that repository triggers need, and STS to learn who the credentials are.
//
// The one idea is that the AWS SDK ends here: what goes in and comes out are
// small structs of ours with checked names, and every failure is an error with
// a kind of package ferry and a text that says what happened and what to do,
// with AWS's own code in brackets. The region table, the console's addresses
// and the permissions matrix stand here too.
//
// The index asks for repositories and pull requests, pages and the API create
// branches and pull requests, set-up makes topics and triggers. Git itself is
// not spoken here (package upstream does); SigningCredentials gives that
// package the access key of the moment. The package keeps no state but the
// pace that AWS allows, and logs no secret.
package codecommit

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"gitferry/internal/ferry"
)

// Source says where the access key comes from.
type Source string

const (
	SourceStatic      Source = "static"      // AccessKeyID and Credentials; the default
	SourceEnvironment Source = "environment" // AWS's default chain: variables, container, instance role
	SourceProfile     Source = "profile"     // a profile of AWS's shared files
)

// Config says how to reach one account in one region.
type Config struct {
	Integration ferry.Integration // Region, AccessKeyID, end points, PrivateNetwork
	Credentials ferry.Credentials // SecretAccessKey, SessionToken

	Source  Source // empty: SourceStatic
	Profile string // for SourceProfile
	// RoleARN, if not empty, is assumed with the credentials of Source, with
	// ExternalID if that is not empty.
	RoleARN, ExternalID string

	// Personal says that the credentials are a person's own and not the
	// integration's; messages then speak to that person.
	Personal bool

	// HTTP makes the requests. It must follow no redirect and guard its
	// addresses, as upstream.Dialer.HTTPClient does.
	HTTP *http.Client
	// Limiter is shared by all clients of one account and region; nil: an own one.
	Limiter *Limiter
	// Observe is told of every call what it says about permissions: the IAM
	// action, and nil or the error that names the action as missing (see
	// MissingAction). Calls that say nothing about them are left out. It may be
	// nil.
	Observe func(ctx context.Context, action string, denied error)
}

// A Client talks to one account in one region. Its methods may be called
// concurrently; each takes at most a minute, retries included.
type Client struct {
	cfg        Config
	codecommit *codecommit.Client
	sns        *sns.Client
	sts        *sts.Client
	aws        aws.Config
}

const (
	maxAttempts    = 4                // of one call
	attemptTimeout = 20 * time.Second // of one request
	callTimeout    = time.Minute      // of one call with its retries
	maxAnswer      = 32 << 20         // bytes
)

// New makes a client. It reads the files and variables that cfg.Source names
// but calls nothing. It fails with ferry.ErrInvalid if cfg cannot work.
func New(ctx context.Context, cfg Config) (*Client, error) {
	in := cfg.Integration
	if !ValidRegion(in.Region) {
		return nil, invalid("region %.40q: want a region code such as us-east-1", in.Region)
	}
	for name, endpoint := range map[string]string{"API": in.APIEndpoint, "SNS": in.SNSEndpoint, "STS": in.STSEndpoint} {
		if err := checkEndpoint(name, endpoint, in.PrivateNetwork); err != nil {
			return nil, err
		}
	}
	if cfg.Limiter == nil {
		cfg.Limiter = NewLimiter()
	}
	if cfg.HTTP == nil {
		return nil, fmt.Errorf("no HTTP client for %s: %w", in.Slug, ferry.ErrInvalid)
	}
	c := &Client{cfg: cfg}
	client := *cfg.HTTP
	client.Transport = &transport{next: orDefaultTransport(cfg.HTTP.Transport), limiter: cfg.Limiter}
	retryer := func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.Backoff = maxAttempts, retry.BackoffDelayerFunc(backoff)
		})
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(in.Region), config.WithRetryer(retryer),
	}
	switch cfg.Source {
	case SourceStatic, "":
		if in.AccessKeyID == "" || cfg.Credentials.SecretAccessKey.IsZero() {
			return nil, invalid("an access key ID and a secret access key are needed")
		}
		// Nothing of the machine's own set-up applies.
		c.aws = aws.Config{
			Region: in.Region, HTTPClient: &client, Retryer: retryer,
			Credentials: credentials.NewStaticCredentialsProvider(
				in.AccessKeyID, cfg.Credentials.SecretAccessKey.Reveal(), cfg.Credentials.SessionToken.Reveal()),
		}
		c.connect()
		return c, nil
	case SourceProfile:
		options = append(options, config.WithSharedConfigProfile(cfg.Profile))
	case SourceEnvironment:
	default:
		return nil, invalid("credential source %.40q: want static, environment or profile", cfg.Source)
	}
	var err error
	if c.aws, err = config.LoadDefaultConfig(ctx, options...); err != nil {
		return nil, &ferry.Message{Kind: ferry.ErrInvalid, Text: "AWS credentials cannot be loaded: " + oneLine(err.Error()), Cause: err}
	}
	c.connect()
	return c, nil
}

// backoff is the pause before a repeat: at random up to 0.3 s, 0.6 s, 1.2 s.
// The limiter adds its own after a throttling.
func backoff(attempt int, _ error) (time.Duration, error) {
	most := 300 * time.Millisecond << min(max(attempt, 1)-1, 4)
	return time.Duration(rand.Int64N(int64(most))), nil
}

// connect makes the service clients from c.aws.
func (c *Client) connect() {
	in := c.cfg.Integration
	stsEndpoint, snsEndpoint := in.STSEndpoint, in.SNSEndpoint
	if standsIn(in.APIEndpoint) {
		// Something that plays CodeCommit on its own end point plays the rest too.
		stsEndpoint = orText(stsEndpoint, in.APIEndpoint)
		snsEndpoint = orText(snsEndpoint, in.APIEndpoint)
	}
	c.sts = sts.NewFromConfig(c.aws, func(o *sts.Options) { o.BaseEndpoint = endpoint(stsEndpoint) })
	if c.cfg.RoleARN != "" {
		c.aws.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(c.sts, c.cfg.RoleARN,
			func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = "gitferry"
				if c.cfg.ExternalID != "" {
					o.ExternalID = aws.String(c.cfg.ExternalID)
				}
			}))
		c.sts = sts.NewFromConfig(c.aws, func(o *sts.Options) { o.BaseEndpoint = endpoint(stsEndpoint) })
	}
	c.codecommit = codecommit.NewFromConfig(c.aws, func(o *codecommit.Options) { o.BaseEndpoint = endpoint(in.APIEndpoint) })
	c.sns = sns.NewFromConfig(c.aws, func(o *sns.Options) { o.BaseEndpoint = endpoint(snsEndpoint) })
}

// standsIn reports whether an API end point is not one of AWS's, in any
// partition: those of VPCs end in the same domains.
func standsIn(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		return false
	}
	for _, p := range partitions {
		for _, domain := range []string{p.Suffix, p.DualStack} {
			if strings.HasSuffix(strings.ToLower(u.Hostname()), "."+domain) {
				return false
			}
		}
	}
	return true
}

func endpoint(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

func checkEndpoint(name, endpoint string, private bool) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return invalid("%s end point: want https://HOST", name)
	}
	if u.Scheme == "https" {
		return nil
	}
	a, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && private && (u.Hostname() == "localhost" || err == nil && a.IsLoopback()) {
		return nil
	}
	return invalid("%s end point: want https://HOST; http is accepted only towards this machine itself", name)
}

func invalid(format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf(format, args...)}
}

func orDefaultTransport(rt http.RoundTripper) http.RoundTripper {
	if rt == nil {
		return http.DefaultTransport
	}
	return rt
}

// SigningCredentials returns the access key that holds now, for signing git
// requests: the stored one, or the temporary one of a role or of the
// environment. Ask again for each operation.
func (c *Client) SigningCredentials(ctx context.Context) (accessKeyID string, secrets ferry.Credentials, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	v, err := c.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return "", ferry.Credentials{}, c.fault(call{action: "sts:AssumeRole", subject: "the credentials"}, err)
	}
	return v.AccessKeyID, ferry.Credentials{
		SecretAccessKey: ferry.NewSecret(v.SecretAccessKey),
		SessionToken:    ferry.NewSecret(v.SessionToken),
	}, nil
}

// An Identity is who the credentials belong to.
type Identity struct{ Account, ARN, UserID string }

// Identity asks STS who the credentials are. It needs no permission.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	out, err := invoke(ctx, c, call{action: "sts:GetCallerIdentity", subject: "the credentials"},
		c.sts.GetCallerIdentity, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Identity{}, err
	}
	return Identity{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn), UserID: aws.ToString(out.UserId)}, nil
}

// DisplayName returns the part of an ARN that names a person: the user's name,
// or the session's name of an assumed role, which often is an e-mail address.
func DisplayName(arn string) string {
	return arn[strings.LastIndexAny(arn, "/:")+1:]
}

// A call names an operation in messages.
type call struct {
	action  string // IAM action: "codecommit:GetRepository"
	subject string // what it is about: "repository demo"
}

// invoke runs one operation of the SDK within the time allowed and puts its
// error in words.
func invoke[In, Out, Options any](ctx context.Context, c *Client, what call,
	operation func(context.Context, *In, ...func(*Options)) (*Out, error), in *In) (*Out, error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := operation(limited, in)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("calling %s: %w", what.action, ctx.Err())
		}
		err = c.fault(what, err)
		if action := MissingAction(err); action != "" && c.cfg.Observe != nil {
			c.cfg.Observe(ctx, action, err)
		}
		return nil, err
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(ctx, what.action, nil)
	}
	return out, nil
}

// limitedBody bounds an answer and ends the time limit of its request.
type limitedBody struct {
	io.Reader
	io.Closer
	done context.CancelFunc
}

func (b *limitedBody) Close() error {
	defer b.done()
	return b.Closer.Close()
}
