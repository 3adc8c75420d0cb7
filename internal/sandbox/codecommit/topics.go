package codecommit

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gitferry/internal/sandbox/faults"
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func invalidParameter(format string, args ...any) error {
	return fail("InvalidParameter", "Invalid parameter: "+format, args...)
}

func notFound(what string) error {
	return &apiError{Code: "NotFound", Message: what + " does not exist", Status: http.StatusNotFound}
}

func createTopic(q *queryCall) (markup, error) {
	name := q.form.Get("Name")
	if !topicName.MatchString(name) {
		return none, invalidParameter("Topic Name")
	}
	arn := q.s.arn("sns", q.region, name)
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	g := q.s.inRegion(q.region)
	if g.topics[arn] == nil {
		g.topics[arn] = &topic{arn: arn, attributes: q.attributes("Attributes")}
		faults.Effect(q.r.Context(), "topic %s created", arn)
	}
	return markup("").text("TopicArn", arn), nil
}

func deleteTopic(q *queryCall) (markup, error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	arn := q.form.Get("TopicArn")
	topics := q.s.inRegion(q.region).topics
	if topics[arn] != nil {
		delete(topics, arn)
		faults.Effect(q.r.Context(), "topic %s deleted", arn)
	}
	return none, nil // a missing topic is no error
}

func listTopics(q *queryCall) (markup, error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	list := markup("")
	for _, arn := range sortedKeys(q.s.inRegion(q.region).topics) {
		list = list.tag("member", markup("").text("TopicArn", arn))
	}
	return markup("").tag("Topics", list), nil
}

// topic finds the topic that the call names and locks the server; the caller
// unlocks it, but not after an error.
func (q *queryCall) topic() (*topic, error) {
	arn := q.form.Get("TopicArn")
	if strings.Count(arn, ":") != 5 {
		return nil, invalidParameter("TopicArn")
	}
	q.s.mu.Lock()
	t := q.s.topicByARN(arn)
	if t == nil {
		q.s.mu.Unlock()
		return nil, notFound("Topic")
	}
	return t, nil
}

func getTopicAttributes(q *queryCall) (markup, error) {
	t, err := q.topic()
	if err != nil {
		return none, err
	}
	defer q.s.mu.Unlock()
	m := maps.Clone(t.attributes)
	m["TopicArn"], m["Owner"] = t.arn, q.s.cfg.Account
	return markup("").pairs("Attributes", m), nil
}

func setTopicAttributes(q *queryCall) (markup, error) {
	t, err := q.topic()
	if err != nil {
		return none, err
	}
	defer q.s.mu.Unlock()
	name, value := q.form.Get("AttributeName"), q.form.Get("AttributeValue")
	switch name {
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return none, invalidParameter("AttributeValue")
		}
	case "Policy", "DeliveryPolicy", "DisplayName":
	default:
		return none, invalidParameter("AttributeName")
	}
	t.attributes[name] = value
	faults.Effect(q.r.Context(), "%s of %s set", name, t.arn)
	return none, nil
}

func subscribe(q *queryCall) (markup, error) {
	t, err := q.topic()
	if err != nil {
		return none, err
	}
	defer q.s.mu.Unlock()
	protocol, endpoint := q.form.Get("Protocol"), q.form.Get("Endpoint")
	u, err := url.Parse(endpoint)
	switch {
	case protocol != "http" && protocol != "https":
		return none, invalidParameter("Protocol")
	case err != nil || u.Scheme != protocol || u.Host == "":
		return none, invalidParameter("Endpoint must match the specified protocol")
	}
	i := slices.IndexFunc(t.subscriptions, func(s *subscription) bool { return s.Endpoint == endpoint })
	if i < 0 {
		i = len(t.subscriptions)
		t.subscriptions = append(t.subscriptions, &subscription{ARN: t.arn + ":" + newUUID(), Protocol: protocol, Endpoint: endpoint, Attributes: map[string]string{}})
	}
	sub := t.subscriptions[i]
	maps.Copy(sub.Attributes, q.attributes("Attributes"))
	answer := sub.ARN
	if !sub.Confirmed {
		sub.Token, sub.Asked = rand.Text()+rand.Text(), q.s.cfg.Now()
		q.s.askConfirmation(t, sub)
		faults.Effect(q.r.Context(), "subscription %s asked for", sub.ARN)
		if q.form.Get("ReturnSubscriptionArn") != "true" {
			answer = "pending confirmation"
		}
	}
	return markup("").text("SubscriptionArn", answer), nil
}

func confirmSubscription(q *queryCall) (markup, error) {
	t, err := q.topic()
	if err != nil {
		return none, err
	}
	defer q.s.mu.Unlock()
	authenticated := q.form.Get("AuthenticateOnUnsubscribe") == "true"
	if authenticated && q.caller == nil {
		return none, errNoSignature
	}
	token := q.form.Get("Token")
	i := slices.IndexFunc(t.subscriptions, func(s *subscription) bool { return token != "" && equal(s.Token, token) })
	if i < 0 || q.s.cfg.Now().Sub(t.subscriptions[i].Asked) > tokenLife {
		return none, invalidParameter("Token")
	}
	sub := t.subscriptions[i]
	if !sub.Confirmed {
		sub.Confirmed, sub.Authenticated = true, authenticated
		faults.Effect(q.r.Context(), "subscription %s confirmed", sub.ARN)
	}
	return markup("").text("SubscriptionArn", sub.ARN), nil
}

func unsubscribe(q *queryCall) (markup, error) {
	arn := q.form.Get("SubscriptionArn")
	if strings.Count(arn, ":") != 6 {
		return none, invalidParameter("SubscriptionArn Reason: An ARN must have at least 6 elements, not %d", strings.Count(arn, ":")+1)
	}
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	t, sub := q.s.findSubscription(arn)
	if sub == nil {
		return none, nil // gone already
	}
	if q.caller == nil && sub.Authenticated {
		return none, &apiError{Code: "AuthorizationError", Message: "Unsubscribing this endpoint requires authentication", Status: http.StatusForbidden}
	}
	if sub.Confirmed && q.caller == nil {
		// Whoever holds the link may end it, and the endpoint is told; its
		// token then brings the subscription back.
		sub.Confirmed = false
		q.s.tellUnsubscribed(t, sub)
	} else {
		t.subscriptions = slices.DeleteFunc(t.subscriptions, func(s *subscription) bool { return s == sub })
	}
	faults.Effect(q.r.Context(), "subscription %s ended", sub.ARN)
	return none, nil
}

func listSubscriptionsByTopic(q *queryCall) (markup, error) {
	t, err := q.topic()
	if err != nil {
		return none, err
	}
	defer q.s.mu.Unlock()
	from := 0
	if token := q.form.Get("NextToken"); token != "" {
		if _, err := fmt.Sscanf(token, "page-%d", &from); err != nil || from < 0 || from > len(t.subscriptions) {
			return none, invalidParameter("NextToken")
		}
	}
	to := min(from+100, len(t.subscriptions)) // pages of 100; SNS API reference
	list := markup("")
	for _, sub := range t.subscriptions[from:to] {
		arn := sub.ARN
		if !sub.Confirmed {
			arn = "PendingConfirmation"
		}
		list = list.tag("member", markup("").text("SubscriptionArn", arn).text("Owner", q.s.cfg.Account).
			text("Protocol", sub.Protocol).text("Endpoint", sub.Endpoint).text("TopicArn", t.arn))
	}
	answer := markup("").tag("Subscriptions", list)
	if to < len(t.subscriptions) {
		answer = answer.text("NextToken", fmt.Sprintf("page-%d", to))
	}
	return answer, nil
}

func getSubscriptionAttributes(q *queryCall) (markup, error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	t, sub := q.s.findSubscription(q.form.Get("SubscriptionArn"))
	if sub == nil {
		return none, notFound("Subscription")
	}
	m := maps.Clone(sub.Attributes)
	m["SubscriptionArn"], m["TopicArn"], m["Owner"] = sub.ARN, t.arn, q.s.cfg.Account
	m["Protocol"], m["Endpoint"] = sub.Protocol, sub.Endpoint
	m["PendingConfirmation"] = fmt.Sprint(!sub.Confirmed)
	m["ConfirmationWasAuthenticated"] = fmt.Sprint(sub.Authenticated)
	return markup("").pairs("Attributes", m), nil
}

func setSubscriptionAttributes(q *queryCall) (markup, error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	_, sub := q.s.findSubscription(q.form.Get("SubscriptionArn"))
	if sub == nil {
		return none, notFound("Subscription")
	}
	name := q.form.Get("AttributeName")
	if name != "DeliveryPolicy" && name != "RawMessageDelivery" {
		return none, invalidParameter("AttributeName")
	}
	sub.Attributes[name] = q.form.Get("AttributeValue")
	faults.Effect(q.r.Context(), "%s of %s set", name, sub.ARN)
	return none, nil
}

func publishCall(q *queryCall) (markup, error) {
	message := q.form.Get("Message")
	switch {
	case message == "":
		return none, invalidParameter("Empty message")
	case len(message) > 256<<10:
		return none, invalidParameter("Message too long")
	}
	id := q.s.publish(q.form.Get("TopicArn"), q.form.Get("Subject"), message)
	if id == "" {
		return none, notFound("Topic")
	}
	faults.Effect(q.r.Context(), "message %s published", id)
	return markup("").text("MessageId", id), nil
}
