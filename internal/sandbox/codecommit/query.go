package codecommit

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	snsNamespace = "http://sns.amazonaws.com/doc/2010-03-31/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// A queryCall is one request in the query protocol.
type queryCall struct {
	s      *Server
	r      *http.Request
	form   url.Values
	caller *identity // nil on the calls that need no signature
	region string
}

// A queryOperation answers a call with the content of its result element.
type queryOperation struct {
	service  string // of the signature's scope, and in IAM actions
	unsigned bool   // may come without signature
	run      func(*queryCall) (markup, error)
}

var queryOperations map[string]queryOperation

func init() {
	queryOperations = map[string]queryOperation{
		"CreateTopic":               {"sns", false, createTopic},
		"DeleteTopic":               {"sns", false, deleteTopic},
		"ListTopics":                {"sns", false, listTopics},
		"GetTopicAttributes":        {"sns", false, getTopicAttributes},
		"SetTopicAttributes":        {"sns", false, setTopicAttributes},
		"Subscribe":                 {"sns", false, subscribe},
		"ConfirmSubscription":       {"sns", true, confirmSubscription},
		"Unsubscribe":               {"sns", true, unsubscribe},
		"ListSubscriptionsByTopic":  {"sns", false, listSubscriptionsByTopic},
		"GetSubscriptionAttributes": {"sns", false, getSubscriptionAttributes},
		"SetSubscriptionAttributes": {"sns", false, setSubscriptionAttributes},
		"Publish":                   {"sns", false, publishCall},
		"GetCallerIdentity":         {"sts", false, getCallerIdentity},
		"GetSessionToken":           {"sts", false, getSessionToken},
		"AssumeRole":                {"sts", false, assumeRole},
	}
}

// queryCodes are the query protocol's names and statuses for faults of
// signatures.
var queryCodes = map[string]struct {
	code   string
	status int
}{
	"MissingAuthenticationTokenException": {"MissingAuthenticationToken", http.StatusForbidden},
	"IncompleteSignatureException":        {"IncompleteSignature", http.StatusBadRequest},
	"UnrecognizedClientException":         {"InvalidClientTokenId", http.StatusForbidden},
	"InvalidSignatureException":           {"SignatureDoesNotMatch", http.StatusForbidden},
	"ExpiredTokenException":               {"ExpiredToken", http.StatusForbidden},
}

// serveQuery answers SNS and STS, whose calls are forms and whose answers are
// XML.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, body []byte, requestID string) {
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		if posted, err := url.ParseQuery(string(body)); err == nil {
			for k, v := range posted {
				form[k] = v
			}
		}
	}
	action := form.Get("Action")
	namespace := snsNamespace
	if queryOperations[action].service == "sts" {
		namespace = stsNamespace
	}
	w.Header().Set("Content-Type", "text/xml")
	result, err := s.callQuery(r, action, form, body)
	if err != nil {
		e := s.asAPIError(action, err)
		if q, ok := queryCodes[e.Code]; ok {
			e = &apiError{Code: q.code, Message: e.Message, Status: q.status}
		}
		status := e.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="%s">%s%s</ErrorResponse>`, namespace,
			markup("").tag("Error", markup("").text("Type", "Sender").text("Code", e.Code).text("Message", e.Message)),
			markup("").text("RequestId", requestID))
		return
	}
	answer := markup("")
	if result != none {
		answer = answer.tag(action+"Result", result)
	}
	answer = answer.tag("ResponseMetadata", markup("").text("RequestId", requestID))
	fmt.Fprintf(w, `<%sResponse xmlns="%s">%s</%sResponse>`, action, namespace, answer, action)
}

func (s *Server) callQuery(r *http.Request, action string, form url.Values, body []byte) (markup, error) {
	op, ok := queryOperations[action]
	if !ok {
		return none, fail("InvalidAction", "The action or operation requested is invalid.")
	}
	q := &queryCall{s: s, r: r, form: form}
	sc, err := s.verifyRequest(r, body)
	switch {
	case err == nil && sc.service != op.service:
		return none, fail("SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", op.service)
	case err == nil:
		q.caller, q.region = sc.caller, sc.region
	case !op.unsigned || !errors.Is(err, errNoSignature):
		return none, err
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return none, err
	}
	if q.caller != nil && s.denied(op.service+":"+action) {
		on := form.Get("TopicArn")
		switch {
		case op.service == "sts":
			on = form.Get("RoleArn")
		case form.Get("SubscriptionArn") != "":
			on = topicOf(form.Get("SubscriptionArn"))
		case on == "":
			on = s.arn("sns", q.region, form.Get("Name"))
		}
		service := op.service
		if service == "sns" {
			service = "SNS" // it writes itself so
		}
		action = service + ":" + action
		return none, q.notAuthorized(action, on, " because no identity-based policy allows the "+action+" action")
	}
	out, err := op.run(q)
	if !readsOnly(action) {
		s.save()
	}
	return out, err
}

// notAuthorized refuses an action in IAM's words, why included.
func (q *queryCall) notAuthorized(action, on, why string) error {
	code := "AuthorizationError"
	if strings.HasPrefix(action, "sts:") {
		code = "AccessDenied"
	}
	text := fmt.Sprintf("User: %s is not authorized to perform: %s", q.caller.ARN, action)
	if on != "" {
		text += " on resource: " + on
	}
	return &apiError{Code: code, Status: http.StatusForbidden, Message: text + why}
}

// topicOf returns the topic of a subscription, whose ARN is the topic's with
// one more part.
func topicOf(subscription string) string {
	if i := strings.LastIndexByte(subscription, ':'); i >= 0 {
		return subscription[:i]
	}
	return subscription
}

// attributes reads a map from a form: PREFIX.entry.1.key and .value.
func (q *queryCall) attributes(prefix string) map[string]string {
	m := map[string]string{}
	for i := 1; i <= 100; i++ {
		at := prefix + ".entry." + strconv.Itoa(i)
		if q.form.Get(at+".key") == "" {
			break
		}
		m[q.form.Get(at+".key")] = q.form.Get(at + ".value")
	}
	return m
}

// markup is the content of an element, written piece by piece.
type markup string

// none stands for the absence of a result element.
const none markup = "\x00"

// tag appends an element with content.
func (x markup) tag(name string, content markup) markup {
	return x + markup("<"+name+">") + content + markup("</"+name+">")
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// text appends an element that holds text.
func (x markup) text(name, text string) markup { return x.tag(name, markup(xmlEscapes.Replace(text))) }

// pairs appends a map as SNS writes it.
func (x markup) pairs(name string, m map[string]string) markup {
	entries := markup("")
	for _, k := range sortedKeys(m) {
		entries = entries.tag("entry", markup("").text("key", k).text("value", m[k]))
	}
	return x.tag(name, entries)
}

func getCallerIdentity(q *queryCall) (markup, error) {
	return markup("").text("Arn", q.caller.ARN).text("UserId", q.caller.userID).text("Account", q.s.cfg.Account), nil
}

func getSessionToken(q *queryCall) (markup, error) {
	return markup("").tag("Credentials", q.s.session(q.caller).markup()), nil
}

// markup writes temporary credentials as STS does.
func (id *identity) markup() markup {
	return markup("").
		text("AccessKeyId", id.AccessKeyID).
		text("SecretAccessKey", id.SecretAccessKey).
		text("SessionToken", id.SessionToken).
		text("Expiration", id.expires.UTC().Format(time.RFC3339))
}
