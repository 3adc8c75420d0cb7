package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// accessKeyForm is the form of an AWS access key ID; someone who entered one
// as the user name of a CodeCommit URL means signed requests.
var accessKeyForm = regexp.MustCompile(`^(AKIA|ASIA)[A-Z0-9]{12,124}$`)

func (d *Dialer) newHTTPClient(private bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return d.dial(ctx, address, private)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    d.bounds.connect,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        d.bounds.idle,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
			WriteBufferSize:        64 << 10,
			ReadBufferSize:         64 << 10,
		},
		// A redirect could carry the credentials to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// HTTPClient returns the client that guards addresses and follows no redirect,
// for other calls to the same upstreams. It sets no limit of time.
func (d *Dialer) HTTPClient(privateNetwork bool) *http.Client {
	if privateNetwork {
		return d.private
	}
	return d.public
}

// A call is one HTTP request to a git server.
type call struct {
	method, suffix string // suffix follows the repository's URL: "/info/refs?service=…"
	service        string
	accept         string // content type expected
	contentType    string // of the body
	protocol       string // Git-Protocol, if not empty
	encoding       string // Content-Encoding, if not empty
	body           io.Reader
	length         int64         // of body; -1 unknown
	unpaced        bool          // the answer may be slow
	wait           time.Duration // for the answer to begin, from the start of the call; 0: no limit
}

// do sends c and returns the answer, whose body is paced and must be closed.
// Any answer but 200 of the expected type is an error with a kind.
func (d *Dialer) do(ctx context.Context, t Target, p place, c call) (*http.Response, error) {
	ctx, cut := context.WithCancelCause(ctx)
	resp, err := d.send(ctx, cut, t, p, c)
	if err != nil {
		err = fault(ctx, p, c.service, err)
		cut(nil)
		return nil, err
	}
	paced := d.paced(resp.Body, func() { cut(errStalled) })
	if c.unpaced {
		paced.least = 0
	}
	resp.Body = &answerBody{pacedReader: paced, body: resp.Body, done: func() { cut(nil) }}
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if resp.StatusCode != http.StatusOK || mediaType != c.accept {
		err := statusFault(t, p, c.service, resp)
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func (d *Dialer) send(ctx context.Context, cut context.CancelCauseFunc, t Target, p place, c call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, p.base()+c.suffix, c.body)
	if err != nil {
		return nil, err
	}
	if c.body != nil {
		req.ContentLength = c.length
	}
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("User-Agent", d.userAgent)
	set("Accept", c.accept)
	set("Content-Type", c.contentType)
	set("Git-Protocol", c.protocol)
	set("Content-Encoding", c.encoding)
	if user, password := d.basicAuth(t, p); user != "" || password != "" {
		req.SetBasicAuth(user, password)
	}
	if c.wait > 0 {
		timer := time.AfterFunc(c.wait, func() { cut(errNoAnswer) })
		defer timer.Stop()
	}
	resp, err := d.HTTPClient(t.PrivateNetwork).Do(req)
	if err == nil {
		d.learnSkew(p, resp)
	}
	return resp, err
}

type answerBody struct {
	*pacedReader
	body io.Closer
	done func()
}

func (b *answerBody) Close() error {
	err := b.body.Close()
	b.done()
	return err
}

// basicAuth returns what the target signs in with now, or nothing.
func (d *Dialer) basicAuth(t Target, p place) (user, password string) {
	c := t.Credentials
	switch t.Auth {
	case ferry.GitAuthSigV4:
		return d.signedPassword(p, t.AccessKeyID, c.SecretAccessKey, c.SessionToken, t.Region)
	case ferry.GitAuthBasic:
		user := orDefault(p.user, t.GitUsername)
		if p.region != "" && accessKeyForm.MatchString(user) {
			return d.signedPassword(p, user, c.GitPassword, c.SessionToken, t.Region)
		}
		return user, c.GitPassword.Reveal()
	}
	return "", ""
}

func (d *Dialer) signedPassword(p place, id string, secret, token ferry.Secret, region string) (user, password string) {
	at := d.now().Add(d.skewOf(p))
	return SigV4Password(id, secret.Reveal(), token.Reveal(), orDefault(region, p.region), p.hostIn, p.path, at)
}

// tolerable is the difference of clocks that does not matter.
const tolerable = time.Minute

func (d *Dialer) skewOf(p place) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.skew[p.hostIn]
}

// learnSkew remembers how far the server's clock is from ours, so that
// signatures carry the server's time.
func (d *Dialer) learnSkew(p place, resp *http.Response) {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	skew := date.Sub(d.now())
	d.mu.Lock()
	defer d.mu.Unlock()
	if skew.Abs() <= tolerable {
		delete(d.skew, p.hostIn)
		return
	}
	if _, known := d.skew[p.hostIn]; !known {
		d.log.Warn("clock differs from upstream", "host", p.host, "skew", skew.Round(time.Second))
	}
	if len(d.skew) > 1000 {
		clear(d.skew)
	}
	d.skew[p.hostIn] = skew
}

// advertise asks for the advertisement of a service. The request changes
// nothing, so it is repeated: at once if it was signed with a clock that the
// answer shows to be wrong, after a moment if the server is busy.
func (d *Dialer) advertise(ctx context.Context, t Target, p place, service, protocol string) (*http.Response, error) {
	c := call{
		method:   http.MethodGet,
		suffix:   "/info/refs?service=" + service,
		service:  service,
		accept:   "application/x-" + service + "-advertisement",
		protocol: protocol,
		wait:     d.bounds.firstByte,
	}
	for try := 0; ; try++ {
		before := d.skewOf(p)
		resp, err := d.do(ctx, t, p, c)
		switch {
		case err == nil || try == 2:
			return resp, err
		case errors.Is(err, ferry.ErrDenied) && (d.skewOf(p)-before).Abs() > tolerable:
		case isBusy(err):
			pause := time.Duration(200+rand.IntN(300)) * time.Millisecond << try
			select {
			case <-ctx.Done():
				return nil, err
			case <-time.After(pause):
			}
		default:
			return nil, err
		}
	}
}

// IsThrottled reports whether err says that the upstream asks for fewer
// requests.
func IsThrottled(err error) bool { return isBusy(err) }

// isBusy reports whether err is an answer 429 or 503.
func isBusy(err error) bool {
	var b *busyError
	return errors.As(err, &b)
}
