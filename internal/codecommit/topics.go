package codecommit

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// DeliveryPolicy is the subscription attribute for the way in which SNS
// repeats a message that we could not take: 50 times within less than an hour
// (Amazon SNS developer guide, "message delivery retries").
const DeliveryPolicy = `{"healthyRetryPolicy":{"numRetries":50,"minDelayTarget":1,"maxDelayTarget":60,"backoffFunction":"exponential"}}`

// A Subscription leads messages of a topic to an address.
type Subscription struct {
	ARN      string // "PendingConfirmation" until the address confirmed
	Protocol string
	Endpoint string
}

// CreateTopic makes a standard topic, or finds the one of that name, and
// returns its ARN. name begins with TopicPrefix. It needs sns:CreateTopic.
func (c *Client) CreateTopic(ctx context.Context, name string) (string, error) {
	out, err := invoke(ctx, c, call{"sns:CreateTopic", "topic " + name}, c.sns.CreateTopic, &sns.CreateTopicInput{Name: aws.String(name)})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.TopicArn), nil
}

// DeleteTopic removes a topic with its subscriptions; a topic that is gone
// already is no error. It needs sns:DeleteTopic.
func (c *Client) DeleteTopic(ctx context.Context, topic string) error {
	_, err := invoke(ctx, c, call{"sns:DeleteTopic", "topic " + topic}, c.sns.DeleteTopic, &sns.DeleteTopicInput{TopicArn: aws.String(topic)})
	return err
}

// SetTopicAttribute sets one attribute of a topic, such as SignatureVersion to
// "2". It needs sns:SetTopicAttributes.
func (c *Client) SetTopicAttribute(ctx context.Context, topic, name, value string) error {
	_, err := invoke(ctx, c, call{"sns:SetTopicAttributes", "topic " + topic}, c.sns.SetTopicAttributes,
		&sns.SetTopicAttributesInput{TopicArn: aws.String(topic), AttributeName: aws.String(name), AttributeValue: aws.String(value)})
	return err
}

// TopicPolicy returns the value of a topic's attribute Policy that lets its
// owner manage it, and the CodeCommit of the owner's account publish to it. It
// fails with ferry.ErrInvalid if topic is no ARN of a topic.
func TopicPolicy(topic string) (string, error) {
	part := strings.Split(topic, ":")
	if len(part) != 6 || part[0] != "arn" || part[2] != "sns" || part[4] == "" {
		return "", invalid("topic %.120q: want arn:aws:sns:REGION:ACCOUNT:NAME", topic)
	}
	account := part[4]
	type object = map[string]any
	b, err := json.Marshal(object{"Version": "2012-10-17", "Statement": []object{
		{"Sid": "Owner", "Effect": "Allow", "Principal": object{"AWS": "arn:" + part[1] + ":iam::" + account + ":root"}, "Resource": topic,
			"Action": []string{"sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic", "sns:Subscribe", "sns:ListSubscriptionsByTopic", "sns:Publish"}},
		{"Sid": "CodeCommit", "Effect": "Allow", "Principal": object{"Service": "codecommit.amazonaws.com"}, "Resource": topic,
			"Action": "sns:Publish", "Condition": object{"StringEquals": object{"AWS:SourceAccount": account}}},
		{"Sid": "Events", "Effect": "Allow", "Principal": object{"Service": "events.amazonaws.com"}, "Resource": topic,
			"Action": "sns:Publish", "Condition": object{"StringEquals": object{"AWS:SourceAccount": account}}},
	}})
	if err != nil {
		panic(err) // strings only
	}
	return string(b), nil
}

// Subscribe has a topic's messages sent to an https address, with
// DeliveryPolicy, and returns the subscription's ARN; it takes effect when the
// address confirms it. It needs sns:Subscribe.
func (c *Client) Subscribe(ctx context.Context, topic, address string) (string, error) {
	protocol := "https"
	if standsIn(c.cfg.Integration.APIEndpoint) && len(address) > 5 && address[:5] == "http:" {
		protocol = "http" // towards a stand-in on this machine
	}
	out, err := invoke(ctx, c, call{"sns:Subscribe", "topic " + topic}, c.sns.Subscribe, &sns.SubscribeInput{
		TopicArn: aws.String(topic), Protocol: aws.String(protocol), Endpoint: aws.String(address),
		Attributes: map[string]string{"DeliveryPolicy": DeliveryPolicy}, ReturnSubscriptionArn: true,
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SubscriptionArn), nil
}

// ConfirmSubscription answers a SubscriptionConfirmation message with its
// token. Unsubscribing then needs our credentials. It needs
// sns:ConfirmSubscription.
func (c *Client) ConfirmSubscription(ctx context.Context, topic, token string) (string, error) {
	out, err := invoke(ctx, c, call{"sns:ConfirmSubscription", "topic " + topic}, c.sns.ConfirmSubscription,
		&sns.ConfirmSubscriptionInput{TopicArn: aws.String(topic), Token: aws.String(token), AuthenticateOnUnsubscribe: aws.String("true")})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SubscriptionArn), nil
}

// Unsubscribe removes a subscription. It needs sns:Unsubscribe.
func (c *Client) Unsubscribe(ctx context.Context, subscription string) error {
	_, err := invoke(ctx, c, call{"sns:Unsubscribe", "subscription " + subscription}, c.sns.Unsubscribe,
		&sns.UnsubscribeInput{SubscriptionArn: aws.String(subscription)})
	return err
}

// ListSubscriptions returns a topic's subscriptions. It needs
// sns:ListSubscriptionsByTopic.
func (c *Client) ListSubscriptions(ctx context.Context, topic string) ([]Subscription, error) {
	what := call{"sns:ListSubscriptionsByTopic", "topic " + topic}
	var list []Subscription
	err := pages(what, func(token *string) (*string, error) {
		out, err := invoke(ctx, c, what, c.sns.ListSubscriptionsByTopic, &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(topic), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, s := range out.Subscriptions {
			list = append(list, Subscription{ARN: aws.ToString(s.SubscriptionArn), Protocol: aws.ToString(s.Protocol), Endpoint: aws.ToString(s.Endpoint)})
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
