package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

const (
	maxAnswer = 64 << 10 // bytes read of an answer
	keptBody  = 4 << 10  // bytes of it kept in the log
)

// deliver makes one attempt and notes what became of it.
func (s *Sender) deliver(ctx context.Context, d store.WebhookDelivery) {
	began := s.now()
	err := s.attempt(ctx, &d)
	if ctx.Err() != nil {
		return // the lease gives it back
	}
	d.DeliveredAt = s.now()
	d.Duration = d.DeliveredAt.Sub(began)
	d.State, d.Problem = store.WebhookDone, ""
	if err != nil {
		d.Problem = err.Error()
		if d.Attempts > len(Retries) {
			d.State = store.WebhookDead
		} else {
			d.State, d.NextAt = store.WebhookPending, d.DeliveredAt.Add(Retries[d.Attempts-1])
		}
	}
	if err := s.Store.SaveWebhookDelivery(ctx, d); err != nil {
		s.Log.Error("saving a delivery of a webhook", "webhook", d.Hook, "delivery", d.ID, "err", err)
	}
}

// attempt sends a delivery once. Everything but an answer of 2xx is a failure.
func (s *Sender) attempt(ctx context.Context, d *store.WebhookDelivery) error {
	h, repo, err := s.Store.RepositoryOfWebhook(ctx, d.Hook)
	if err != nil {
		return err
	}
	d.Code, d.Response, d.Body = 0, nil, ""
	timeout := s.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, contentType := string(d.Payload), "application/json"
	if h.ContentType == "form" {
		body, contentType = url.Values{"payload": {body}}.Encode(), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader(body))
	if err != nil {
		return errors.New("the address is not a URL")
	}
	d.Request = map[string]string{
		"Accept": "*/*", "Content-Type": contentType, "User-Agent": "GitHub-Hookshot/" + s.UserAgent,
		"X-GitHub-Delivery": d.GUID, "X-GitHub-Event": d.Event, "X-GitHub-Hook-ID": fmt.Sprint(h.ID),
		"X-GitHub-Hook-Installation-Target-ID": fmt.Sprint(repo.ID), "X-GitHub-Hook-Installation-Target-Type": "repository",
	}
	for name, value := range d.Request {
		req.Header.Set(name, value)
	}
	if !h.Secret.IsZero() {
		req.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, h.Secret, body))
		req.Header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, h.Secret, body)) // what older receivers check
	}
	private, err := s.mayUsePrivate(ctx, h)
	if err != nil {
		return err
	}
	answer, err := s.Client(private).Do(req)
	if err != nil {
		return plain(err)
	}
	defer answer.Body.Close()
	d.Code = answer.StatusCode
	d.Response = kept(answer.Header)
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	d.Body = strings.ToValidUTF8(string(text[:min(len(text), keptBody)]), string(utf8.RuneError))
	switch {
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return fmt.Errorf("answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	case err != nil:
		return plain(err)
	}
	return nil
}

// sign returns the hexadecimal HMAC of what is sent, as GitHub makes it.
func sign(of func() hash.Hash, secret ferry.Secret, body string) string {
	mac := hmac.New(of, []byte(secret.Reveal()))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// kept are the headers of an answer that go into the log.
func kept(h http.Header) map[string]string {
	out := make(map[string]string)
	for name := range h {
		if len(out) < 30 && name != "Set-Cookie" {
			v := h.Get(name)
			out[name] = strings.ToValidUTF8(v[:min(len(v), 200)], string(utf8.RuneError))
		}
	}
	return out
}

// plain says why a call failed without the address, which may hold a secret.
func plain(err error) error {
	var m *ferry.Message
	var timeout net.Error
	var u *url.Error
	switch {
	case errors.As(err, &m):
		return m
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &u):
		return u.Err
	}
	return err
}
