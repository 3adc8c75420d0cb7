package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// The services of a git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// Reasons why we cut a connection ourselves.
var (
	errNoAnswer = errors.New("no answer in time")
	errStalled  = errors.New("the answer came too slowly")
	errAborted  = errors.New("push was aborted")
	errNotRead  = errors.New("the push was not read")
)

func unavailable(cause error, format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// fault turns whatever went wrong while talking to p into an error with a
// kind. Errors that are fit for people already pass unchanged, and so does
// the end of the caller's own context.
func fault(ctx context.Context, p place, service string, err error) error {
	var message *ferry.Message
	var remote *pktline.RemoteError
	cause := context.Cause(ctx)
	switch {
	case errors.As(err, &message):
		return err
	case errors.As(err, &remote):
		return remoteFault(p, service, remote.Text, err)
	case errors.Is(err, errStalled) || errors.Is(cause, errStalled):
		return unavailable(err, "%s sends too slowly; the connection was closed", p.host)
	case errors.Is(err, errNoAnswer) || errors.Is(cause, errNoAnswer):
		return unavailable(err, "%s does not answer; the connection was closed", p.host)
	case errors.Is(err, errNotRead) || errors.Is(cause, errNotRead):
		return unavailable(err, "%s stopped reading the push; the connection was closed", p.host)
	case errors.Is(cause, context.Canceled):
		return fmt.Errorf("talking to %s: %w", p.host, context.Canceled)
	case errors.Is(cause, context.DeadlineExceeded):
		return unavailable(err, "%s did not answer in the time allowed", p.host)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return unavailable(err, "%s closed the connection in the middle of its answer", p.host)
	case errors.Is(err, ferry.ErrInvalid):
		return unavailable(err, "%s does not answer as a git server does: %s", p.host, oneLine(err.Error()))
	}
	if text := tlsFault(err); text != "" {
		return unavailable(err, "%s has a certificate problem: %s", p.host, text)
	}
	return unavailable(err, "cannot reach %s port %s: %s; gitferry reaches upstreams over port 443 for HTTPS and 22 for SSH",
		p.host, p.port, netCause(err))
}

func tlsFault(err error) string {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "it was issued by an authority that this machine does not trust"
	case errors.As(err, &name):
		return "it was issued for another name"
	case errors.As(err, &invalid):
		return oneLine(invalid.Error())
	case errors.As(err, &verify):
		return oneLine(verify.Err.Error())
	case errors.As(err, &record):
		return "the port does not speak TLS"
	}
	return ""
}

// netCause puts the usual network errors in words.
func netCause(err error) string {
	var dns *net.DNSError
	var ne net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns):
		return "the name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "connection lost"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host"
	case errors.As(err, &ne) && ne.Timeout():
		return "no answer in time"
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the URL
	}
	return oneLine(err.Error())
}

// remoteFault classifies the text of an ERR packet, of band 3 or of an SSH
// server's standard error.
func remoteFault(p place, service, text string, cause error) error {
	low := strings.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(low, w) {
				return true
			}
		}
		return false
	}
	m := &ferry.Message{Kind: ferry.ErrUnavailable, Cause: cause}
	switch {
	case has("not found", "does not exist", "not appear to be a git repository", "no such repository", "repository not exported"):
		m.Kind = ferry.ErrNotFound
		m.Text = fmt.Sprintf("%s has no repository %s", p.host, p.path)
	case has("denied", "not authorized", "unauthorized", "forbidden", "not have permission", "403"):
		m.Kind = ferry.ErrDenied
		m.Text = fmt.Sprintf("%s refused %s %s: %s", p.host, doing(service), p.repository(), lacking(p, service))
	case has("rate exceeded", "too many requests", "throttl", "429"):
		m.Text = throttled(p)
		return m
	default:
		m.Text = fmt.Sprintf("%s refused %s %s", p.host, doing(service), p.repository())
	}
	if text != "" {
		m.Text += fmt.Sprintf(" (%s)", oneLine(text))
	}
	return m
}

func throttled(p place) string {
	return p.host + " is limiting requests at the moment; try again in a minute"
}

func doing(service string) string {
	if service == receivePack {
		return "pushing to"
	}
	return "reading"
}

// atAWS reports whether p is CodeCommit, or looks like an own end point for it.
func atAWS(p place) bool { return p.region != "" || strings.Contains(p.path, "/v1/repos/") }

func lacking(p place, service string) string {
	switch {
	case atAWS(p) && service == receivePack:
		return "the credentials are wrong, expired or inactive, or lack codecommit:GitPush on this repository"
	case atAWS(p):
		return "the credentials are wrong, expired or inactive, or lack codecommit:GitPull on this repository"
	case service == receivePack:
		return "the credentials are wrong or give no right to push"
	}
	return "the credentials are wrong or give no right to read"
}

// statusFault turns an HTTP answer that is not the expected one into an error.
func statusFault(t Target, p place, service string, resp *http.Response) error {
	said := saidInBody(resp)
	var cause error = fmt.Errorf("HTTP %d from %s%s", resp.StatusCode, p.host, said)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		cause = &busyError{cause}
	}
	m := &ferry.Message{Kind: ferry.ErrUnavailable, Cause: cause}
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		to := "another place"
		if u, err := resp.Location(); err == nil && u.Host != "" {
			to = u.Host
		}
		m.Text = fmt.Sprintf("%s redirects to %.200s (HTTP %d); redirects are not followed: enter the final URL", p.host, oneLine(to), code)
	case code == http.StatusUnauthorized && t.Auth == ferry.GitAuthNone:
		m.Kind = ferry.ErrDenied
		m.Text = fmt.Sprintf("%s asks for credentials and none are stored for this integration", p.host)
	case code == http.StatusUnauthorized && t.Auth == ferry.GitAuthBasic:
		m.Kind = ferry.ErrDenied
		m.Text = fmt.Sprintf("%s refused the user name or the password (HTTP 401); check the git credentials of this integration", p.host)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		m.Kind = ferry.ErrDenied
		m.Text = fmt.Sprintf("%s refused %s %s (HTTP %d): %s", p.host, doing(service), p.repository(), code, lacking(p, service))
	case code == http.StatusNotFound || code == http.StatusGone:
		m.Kind = ferry.ErrNotFound
		m.Text = fmt.Sprintf("%s has no repository %s", p.host, p.path)
	case code == http.StatusTooManyRequests:
		m.Text = throttled(p)
	case code == http.StatusRequestEntityTooLarge:
		m.Text = fmt.Sprintf("%s refused the request as too large (HTTP 413)%s", p.host, said)
	case code == http.StatusOK:
		m.Text = fmt.Sprintf("%s does not answer as a git server does (%.80s); check the URL, or whether a network device interferes",
			p.host, oneLine(orDefault(resp.Header.Get("Content-Type"), "no content type")))
	default:
		m.Text = fmt.Sprintf("%s answers HTTP %d%s", p.host, code, said)
	}
	return m
}

// saidInBody returns the beginning of a text answer as " (…)", or "".
func saidInBody(resp *http.Response) string {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if text := oneLine(string(b)); text != "" {
		return " (" + text + ")"
	}
	return ""
}

// oneLine makes foreign text fit for a message: one line, no control
// characters, at most 300 bytes.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(pktline.SanitizeTerminal(s)), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// A busyError is an answer that asks to come back later.
type busyError struct{ error }

func (e *busyError) Unwrap() error { return e.error }
