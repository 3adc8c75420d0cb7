package api

import (
	"encoding/json"
	"strings"
	"time"

	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/weblink"
)

// The shapes in which the API, and the command line with --json, show what the
// books hold. Field names are a contract: add freely, rename never. Secrets
// have no field. A time that never was is left out.

// An Integration is one account in one region, or one git URL.
type Integration struct {
	ID             ferry.IntegrationID   `json:"id"`
	Slug           string                `json:"slug"`
	Name           string                `json:"name"`
	Kind           ferry.IntegrationKind `json:"kind"`
	Region         string                `json:"region,omitempty"`
	Account        string                `json:"account,omitempty"`
	GitAuth        ferry.GitAuth         `json:"git_auth"`
	AccessKeyID    string                `json:"access_key_id,omitempty"`
	GitUsername    string                `json:"git_username,omitempty"`
	SSHKeyID       string                `json:"ssh_key_id,omitempty"`
	HostKey        string                `json:"host_key,omitempty"`
	APIEndpoint    string                `json:"api_endpoint,omitempty"`
	SNSEndpoint    string                `json:"sns_endpoint,omitempty"`
	STSEndpoint    string                `json:"sts_endpoint,omitempty"`
	GitEndpoint    string                `json:"git_endpoint,omitempty"`
	Source         string                `json:"credential_source,omitempty"`
	Profile        string                `json:"profile,omitempty"`
	RoleARN        string                `json:"role_arn,omitempty"`
	ExternalID     string                `json:"external_id,omitempty"`
	TopicARN       string                `json:"topic_arn,omitempty"`
	TopicSHA1      bool                  `json:"topic_sha1,omitempty"`
	PrivateNetwork bool                  `json:"private_network"`
	ConnectAll     bool                  `json:"connect_all"`
	Personal       bool                  `json:"personal_required"`
	PassThrough    bool                  `json:"pass_through"`
	Disabled       bool                  `json:"disabled"`
	Problem        string                `json:"problem,omitempty"`
}

// IntegrationOf shows i.
func IntegrationOf(i ferry.Integration) Integration {
	return Integration{ID: i.ID, Slug: i.Slug, Name: i.Name, Kind: i.Kind, Region: i.Region, Account: i.Account, GitAuth: i.GitAuth,
		AccessKeyID: i.AccessKeyID, GitUsername: i.GitUsername, SSHKeyID: i.SSHKeyID, HostKey: i.HostKey, APIEndpoint: i.APIEndpoint,
		SNSEndpoint: i.SNSEndpoint, STSEndpoint: i.STSEndpoint, GitEndpoint: i.GitEndpoint, PrivateNetwork: i.PrivateNetwork, ConnectAll: i.ConnectAll, Personal: i.PersonalRequired, PassThrough: i.PassThrough,
		Source: i.CredentialSource, Profile: i.Profile, RoleARN: i.RoleARN, ExternalID: i.ExternalID, TopicARN: i.TopicARN, TopicSHA1: i.TopicSHA1,
		Disabled: i.Disabled, Problem: i.Problem}
}

// A Repository is one connected repository.
type Repository struct {
	ID            ferry.RepositoryID    `json:"id"`
	Path          string                `json:"path"`
	Owner         string                `json:"owner"`
	Name          string                `json:"name"`
	Integration   ferry.IntegrationID   `json:"integration"`
	Region        string                `json:"region,omitempty"`
	UpstreamURL   string                `json:"upstream_url"`
	DefaultBranch string                `json:"default_branch,omitempty"`
	State         ferry.RepositoryState `json:"state"`
	SmartCommits  bool                  `json:"smart_commits"`
	Projects      []string              `json:"projects"` // keys of Jira projects it belongs to; empty: all
	ReadOnly      bool                  `json:"read_only"`
	TagFilter     string                `json:"tag_filter,omitempty"`
	WebLinks      *weblink.Templates    `json:"web_links,omitempty"` // of a single repository: addresses at its host
	IndexedAt     time.Time             `json:"indexed_at,omitzero"`
	Degraded      string                `json:"degraded,omitempty"` // "MESSAGE-ID in OID" that git refuses of the upstream
	FsckIgnore    string                `json:"fsck_ignore,omitempty"`
	CreatedAt     time.Time             `json:"created_at"` // at the host, or when it was connected
}

// webLinksOf returns the templates of a repository, nil without any.
func webLinksOf(r ferry.Repository) *weblink.Templates {
	t, err := weblink.Parse(r.WebLinks)
	if err != nil || t == (weblink.Templates{}) {
		return nil
	}
	return &t
}

// RepositoryOf shows r.
func RepositoryOf(r ferry.Repository) Repository {
	return Repository{ID: r.ID, Path: r.Path(), Owner: r.Owner, Name: r.Name, Integration: r.IntegrationID, Region: r.Region,
		UpstreamURL: r.CloneURL, DefaultBranch: r.DefaultBranch, State: r.State, SmartCommits: r.SmartCommits, IndexedAt: r.IndexedAt,
		CreatedAt: r.CreatedAt, Projects: append([]string{}, strings.Fields(r.Projects)...), ReadOnly: r.ReadOnly, TagFilter: r.TagFilter, WebLinks: webLinksOf(r),
		Degraded: r.Degraded, FsckIgnore: r.FsckIgnore}
}

// A Delivery is one row of what Jira shall hear. Repository is a path, empty
// if it was removed since.
type Delivery struct {
	ID         string           `json:"id"`
	Kind       string           `json:"kind"`
	State      string           `json:"state"`
	Issues     []ferry.IssueKey `json:"issues"`
	Repository string           `json:"repository,omitempty"`
	EntityID   string           `json:"entity_id"`
	Command    json.RawMessage  `json:"command,omitempty"`
	Actor      ferry.UserID     `json:"actor,omitempty"`
	Attempts   int              `json:"attempts"`
	CreatedAt  time.Time        `json:"created_at"`
	NextAt     time.Time        `json:"next_at,omitzero"`
	SentAt     time.Time        `json:"sent_at,omitzero"`
	DoneAt     time.Time        `json:"done_at,omitzero"`
	JiraID     string           `json:"jira_id,omitempty"`
	Problem    string           `json:"problem,omitempty"`
}

// DeliveryOf shows a delivery of the repository at path.
func DeliveryOf(d store.Delivery, path string) Delivery {
	out := Delivery{ID: d.ID, Kind: d.Kind, State: d.State, Issues: list(d.Keys), Repository: path, EntityID: d.EntityID, Actor: d.Actor,
		Attempts: d.Attempts, CreatedAt: d.CreatedAt, NextAt: d.NextAt, SentAt: d.SentAt, DoneAt: d.DoneAt, JiraID: d.JiraID, Problem: d.Problem}
	if len(d.Command) > 0 && string(d.Command) != "null" {
		out.Command = d.Command
	}
	return out
}

// A Job is one piece of background work.
type Job struct {
	ID          int64               `json:"id"`
	Op          store.JobOp         `json:"op"`
	Repository  ferry.RepositoryID  `json:"repository,omitempty"`
	Integration ferry.IntegrationID `json:"integration,omitempty"`
	Source      string              `json:"source"`
	Priority    int                 `json:"priority"`
	State       store.JobState      `json:"state"`
	QueuedAt    time.Time           `json:"queued_at"`
	StartedAt   time.Time           `json:"started_at,omitzero"`
	FinishedAt  time.Time           `json:"finished_at,omitzero"`
	Problem     string              `json:"problem,omitempty"`
	Done        int64               `json:"done"`
	Total       int64               `json:"total"`
}

// JobOf shows j.
func JobOf(j store.Job) Job {
	return Job{ID: j.ID, Op: j.Op, Repository: j.Repository, Integration: j.Integration, Source: j.Source, Priority: j.Priority,
		State: j.State, QueuedAt: j.QueuedAt, StartedAt: j.StartedAt, FinishedAt: j.FinishedAt, Problem: j.Problem, Done: j.Done, Total: j.Total}
}

// An AuditEvent is one row of the audit.
type AuditEvent struct {
	Seq        int64        `json:"seq"`
	At         time.Time    `json:"at"`
	ActorID    ferry.UserID `json:"actor_id,omitempty"`
	Actor      string       `json:"actor"`
	Credential string       `json:"credential,omitempty"`
	Address    string       `json:"address,omitempty"`
	Request    string       `json:"request_id,omitempty"`
	Action     string       `json:"action"`
	Object     string       `json:"object"`
	Result     string       `json:"result"`
	Reason     string       `json:"reason,omitempty"`
	Detail     string       `json:"detail,omitempty"`
}

// AuditEventOf shows e.
func AuditEventOf(e store.AuditEvent) AuditEvent {
	return AuditEvent{Seq: e.Seq, At: e.At, ActorID: e.ActorID, Actor: e.Actor, Credential: e.Credential, Address: e.Address,
		Request: e.Request, Action: e.Action, Object: e.Object, Result: e.Result, Reason: e.Reason, Detail: e.Detail}
}

// A JiraSite is the Jira that gitferry talks to. The fields that end in "set"
// say whether a secret is stored.
type JiraSite struct {
	Kind            string    `json:"kind"`
	URL             string    `json:"url"`
	Email           string    `json:"email,omitempty"`
	ClientID        string    `json:"client_id,omitempty"`
	DevinfoURL      string    `json:"devinfo_url,omitempty"`
	TokenURL        string    `json:"token_url,omitempty"`
	CloudID         string    `json:"cloud_id,omitempty"`
	Processor       string    `json:"processor"`
	APITokenSet     bool      `json:"api_token_set"`
	ClientSecretSet bool      `json:"client_secret_set"`
	PATSet          bool      `json:"personal_access_token_set"`
	HoursPerDay     float64   `json:"hours_per_day"`
	DaysPerWeek     float64   `json:"days_per_week"`
	Problem         string    `json:"problem,omitempty"`
	CheckedAt       time.Time `json:"checked_at,omitzero"`
}

// JiraSiteOf shows j without its secrets.
func JiraSiteOf(j store.JiraSite) JiraSite {
	return JiraSite{Kind: j.Kind, URL: j.URL, Email: j.Email, ClientID: j.ClientID, DevinfoURL: j.DevinfoURL, TokenURL: j.TokenURL,
		CloudID: j.CloudID, Processor: j.Processor, APITokenSet: !j.APIToken.IsZero(), ClientSecretSet: !j.ClientSecret.IsZero(),
		PATSet: !j.PAT.IsZero(), HoursPerDay: j.HoursPerDay, DaysPerWeek: j.DaysPerWeek, Problem: j.Problem, CheckedAt: j.CheckedAt}
}

// list makes an absent list an empty one, which JSON shows as [].
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// A Pause says whether deliveries to Jira are held back.
type Pause struct {
	Paused bool      `json:"paused"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"` // left out: until resumed
}

// Found is what a look at an account brought; repositories by path, those
// that are not connected by name.
type Found struct {
	Added       []string `json:"added"`
	Renamed     []string `json:"renamed"`
	Missing     []string `json:"missing"`
	Unconnected []string `json:"unconnected"`
}

// FoundOf shows f.
func FoundOf(f discovery.Found) Found {
	paths := func(repos []ferry.Repository) []string {
		out := make([]string, 0, len(repos))
		for _, r := range repos {
			out = append(out, r.Path())
		}
		return out
	}
	return Found{Added: paths(f.Added), Renamed: paths(f.Renamed), Missing: paths(f.Missing), Unconnected: list(f.Unconnected)}
}
