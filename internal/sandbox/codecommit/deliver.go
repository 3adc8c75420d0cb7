package codecommit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	deliveryTime = 15 * time.Second // for one request; SNS's own
	couriers     = 16               // deliveries at the same time
)

// Run delivers SNS messages to their endpoints until ctx ends, and returns nil
// then; without it they wait. A status of 500 and above, or no answer, is a
// failure and is tried again by the topic's delivery policy; any other answer
// ends the delivery, as it does at SNS.
func (s *Server) Run(ctx context.Context) error {
	client := &http.Client{
		Timeout: deliveryTime,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, Control: loopbackOnly}).DialContext,
			MaxIdleConnsPerHost: couriers,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	slots := make(chan struct{}, couriers)
	var open sync.WaitGroup
	defer open.Wait()
	for {
		s.mu.Lock()
		list := s.queue
		s.queue = nil
		s.outstanding += len(list)
		s.mu.Unlock()
		for _, d := range list {
			open.Go(func() {
				s.carry(ctx, client, d, slots)
				s.mu.Lock()
				s.outstanding--
				s.mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
	}
}

// signalQueue wakes Run after the queue grew.
func (s *Server) signalQueue() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// loopbackOnly keeps messages of the sandbox on this machine.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", host)
	}
	return nil
}

// carry tries a delivery until it succeeds or the policy gives up.
func (s *Server) carry(ctx context.Context, client *http.Client, d delivery, slots chan struct{}) {
	pause := d.wait
	delay := d.retries.min
	for try := 0; try <= d.retries.retries; try++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		slots <- struct{}{}
		ok := s.hand(ctx, client, d)
		<-slots
		if ok {
			return
		}
		pause, delay = delay, min(2*delay, max(d.retries.max, d.retries.min))
	}
	s.cfg.Log.Warn("message given up", "topic", d.topic, "message", d.id)
}

// hand makes one attempt and reports whether it ends the delivery.
func (s *Server) hand(ctx context.Context, client *http.Client, d delivery) bool {
	// The endpoint's path holds the receiver's secret: the topic names the
	// delivery in the ledger.
	call := s.book.Begin("SEND", d.kind, d.topic)
	call.Effect("message %s", d.id)
	if rule, ok := s.book.Take("SEND", d.kind, d.topic); ok {
		call.Fault(rule)
		if rule.Drop != "" {
			return true // lost on the way
		}
		if rule.Status != 0 {
			call.Status(rule.Status)
			return rule.Status < 500
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoint, bytes.NewReader(d.body))
	if err != nil {
		return true // it will never be a request
	}
	req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	req.Header.Set("User-Agent", "Amazon Simple Notification Service Agent")
	req.Header.Set("x-amz-sns-message-type", d.kind)
	req.Header.Set("x-amz-sns-message-id", d.id)
	req.Header.Set("x-amz-sns-topic-arn", d.topic)
	if d.subscription != "" {
		req.Header.Set("x-amz-sns-subscription-arn", d.subscription)
	}
	if d.raw {
		req.Header.Set("x-amz-sns-rawdelivery", "true")
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	call.Status(resp.StatusCode)
	return resp.StatusCode < 500
}

// A retryPolicy says when a failed delivery is tried again.
type retryPolicy struct {
	retries  int
	min, max time.Duration // the delays grow from min to max, doubling
}

// retryPolicy reads the delivery policies of a topic and of a subscription,
// which wins; the default is SNS's own, 3 retries.
func (s *Server) retryPolicy(ofTopic, ofSubscription string) retryPolicy {
	p := retryPolicy{retries: 3, min: s.cfg.RetryDelay, max: s.cfg.RetryDelay}
	type healthy struct {
		NumRetries                     *int
		MinDelayTarget, MaxDelayTarget int
	}
	var t struct {
		HTTP struct{ DefaultHealthyRetryPolicy healthy }
	}
	var sub struct{ HealthyRetryPolicy healthy }
	apply := func(h healthy) {
		if h.NumRetries != nil {
			p.retries = min(max(*h.NumRetries, 0), 100)
			p.min = time.Duration(min(max(h.MinDelayTarget, 1), 3600)) * time.Second
			p.max = max(p.min, time.Duration(min(h.MaxDelayTarget, 3600))*time.Second)
		}
	}
	if json.Unmarshal([]byte(ofTopic), &t) == nil {
		apply(t.HTTP.DefaultHealthyRetryPolicy)
	}
	if json.Unmarshal([]byte(ofSubscription), &sub) == nil {
		apply(sub.HealthyRetryPolicy)
	}
	return p
}
