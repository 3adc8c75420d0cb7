package api

import (
	"fmt"
	"net/url"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// secretsIn are the secrets of an integration in a request. They have no way
// out: the audit, which keeps requests, shows their type's "[redacted]".
type secretsIn struct {
	SecretAccessKey ferry.Secret `json:"secret_access_key,omitzero"`
	SessionToken    ferry.Secret `json:"session_token,omitzero"`
	GitPassword     ferry.Secret `json:"git_password,omitzero"`
	SSHPrivateKey   ferry.Secret `json:"ssh_private_key,omitzero"`
	SSHPassphrase   ferry.Secret `json:"ssh_passphrase,omitzero"`
}

func (s secretsIn) credentials() ferry.Credentials {
	return ferry.Credentials{SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken, GitPassword: s.GitPassword,
		SSHPrivateKey: s.SSHPrivateKey, SSHPassphrase: s.SSHPassphrase}
}

// integrationIn is a new integration. An account has a region, a single
// repository a URL.
type integrationIn struct {
	Slug           string `json:"slug,omitempty"`
	Name           string `json:"name,omitempty"`
	Region         string `json:"region,omitempty"`
	URL            string `json:"url,omitempty"`
	GitAuth        string `json:"git_auth,omitempty"`
	AccessKeyID    string `json:"access_key_id,omitempty"`
	GitUsername    string `json:"git_username,omitempty"`
	SSHKeyID       string `json:"ssh_key_id,omitempty"`
	HostKey        string `json:"host_key,omitempty"`
	APIEndpoint    string `json:"api_endpoint,omitempty"`
	SNSEndpoint    string `json:"sns_endpoint,omitempty"`
	STSEndpoint    string `json:"sts_endpoint,omitempty"`
	GitEndpoint    string `json:"git_endpoint,omitempty"`
	PrivateNetwork bool   `json:"private_network,omitempty"`
	// Source is environment or profile, where no access key is given.
	Source     string `json:"credential_source,omitempty"`
	Profile    string `json:"profile,omitempty"`
	RoleARN    string `json:"role_arn,omitempty"`
	ExternalID string `json:"external_id,omitempty"`
	// TopicARN is a topic that exists; TopicSHA1 takes its old signatures.
	TopicARN  string `json:"topic_arn,omitempty"`
	TopicSHA1 bool   `json:"topic_sha1,omitempty"`
	// ConnectAll connects everything, now and later; otherwise Repositories
	// are the names to connect.
	ConnectAll   bool     `json:"connect_all,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	secretsIn
}

// connected is an integration with what a look at it brought.
type connected struct {
	Integration Integration `json:"integration"`
	Found       Found       `json:"found"`
}

func (s *Server) listIntegrations(c *call) (page[Integration], error) {
	all, err := s.Store.Integrations(c.ctx)
	if err != nil {
		return page[Integration]{}, err
	}
	return cut(c, all, IntegrationOf)
}

func (s *Server) getIntegration(c *call) (Integration, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	return IntegrationOf(i), err
}

func (s *Server) addIntegration(c *call, in integrationIn) (connected, error) {
	i := ferry.Integration{Slug: in.Slug, Name: in.Name, Kind: ferry.KindCodeCommit, Region: in.Region, GitAuth: ferry.GitAuth(in.GitAuth),
		AccessKeyID: in.AccessKeyID, GitUsername: in.GitUsername, SSHKeyID: in.SSHKeyID, HostKey: in.HostKey, APIEndpoint: in.APIEndpoint,
		SNSEndpoint: in.SNSEndpoint, STSEndpoint: in.STSEndpoint, GitEndpoint: in.GitEndpoint, PrivateNetwork: in.PrivateNetwork, ConnectAll: in.ConnectAll,
		CredentialSource: in.Source, Profile: in.Profile, RoleARN: in.RoleARN, ExternalID: in.ExternalID, TopicARN: in.TopicARN, TopicSHA1: in.TopicSHA1}
	if in.URL != "" {
		i.Kind, i.GitEndpoint, i.ConnectAll = ferry.KindGit, in.URL, false
	}
	if i.GitAuth == "" {
		i.GitAuth = in.defaultAuth()
	}
	i, found, err := s.Connections.Add(c.ctx, i, in.credentials(), in.Repositories)
	return connected{IntegrationOf(i), FoundOf(found)}, err
}

// defaultAuth is how git signs in with the credentials that are given.
func (in integrationIn) defaultAuth() ferry.GitAuth {
	switch {
	case !in.SSHPrivateKey.IsZero():
		return ferry.GitAuthSSH
	case in.GitUsername != "":
		return ferry.GitAuthBasic
	case in.AccessKeyID != "" || in.Source != "":
		return ferry.GitAuthSigV4
	}
	return ferry.GitAuthNone
}

// integrationPatch changes what it names.
type integrationPatch struct {
	Name        *string `json:"name,omitempty"`
	AccessKeyID *string `json:"access_key_id,omitempty"`
	GitUsername *string `json:"git_username,omitempty"`
	SSHKeyID    *string `json:"ssh_key_id,omitempty"`
	HostKey     *string `json:"host_key,omitempty"`
	APIEndpoint *string `json:"api_endpoint,omitempty"`
	SNSEndpoint *string `json:"sns_endpoint,omitempty"`
	STSEndpoint *string `json:"sts_endpoint,omitempty"`
	GitEndpoint *string `json:"git_endpoint,omitempty"`
	Source      *string `json:"credential_source,omitempty"`
	Profile     *string `json:"profile,omitempty"`
	RoleARN     *string `json:"role_arn,omitempty"`
	ExternalID  *string `json:"external_id,omitempty"`
	TopicARN    *string `json:"topic_arn,omitempty"`
	TopicSHA1   *bool   `json:"topic_sha1,omitempty"`
	ConnectAll  *bool   `json:"connect_all,omitempty"`
	// PersonalRequired makes branches and pull requests need people's own AWS
	// credentials; PassThrough lets git over HTTPS take their own CodeCommit
	// credentials, and those only.
	PersonalRequired *bool `json:"personal_required,omitempty"`
	PassThrough      *bool `json:"pass_through,omitempty"`
	Disabled         *bool `json:"disabled,omitempty"`
	secretsIn
}

// changeIntegration writes what the request names. Secrets were given for an
// address: one that moves to another host, scheme or port takes none of the
// stored ones along, and must bring its own (security.md, API-6).
func (s *Server) changeIntegration(c *call, in integrationPatch) (Integration, error) {
	before, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return Integration{}, err
	}
	i := before
	for _, f := range []struct{ from, into *string }{{in.Name, &i.Name}, {in.AccessKeyID, &i.AccessKeyID}, {in.GitUsername, &i.GitUsername},
		{in.SSHKeyID, &i.SSHKeyID}, {in.HostKey, &i.HostKey}, {in.APIEndpoint, &i.APIEndpoint}, {in.SNSEndpoint, &i.SNSEndpoint}, {in.STSEndpoint, &i.STSEndpoint}, {in.GitEndpoint, &i.GitEndpoint},
		{in.Source, &i.CredentialSource}, {in.Profile, &i.Profile}, {in.RoleARN, &i.RoleARN}, {in.ExternalID, &i.ExternalID}, {in.TopicARN, &i.TopicARN}} {
		if f.from != nil {
			*f.into = *f.from
		}
	}
	for _, f := range []struct{ from, into *bool }{{in.TopicSHA1, &i.TopicSHA1}, {in.ConnectAll, &i.ConnectAll}, {in.PersonalRequired, &i.PersonalRequired}, {in.PassThrough, &i.PassThrough}, {in.Disabled, &i.Disabled}} {
		if f.from != nil {
			*f.into = *f.from
		}
	}
	given := in.credentials()
	have, err := s.Store.Credentials(c.ctx, i.ID)
	if err != nil {
		return Integration{}, err
	}
	if moved(before, i) {
		if given == (ferry.Credentials{}) && have != (ferry.Credentials{}) {
			return Integration{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "an end point moves to another address; send the secrets for it in the same request"}
		}
		have = ferry.Credentials{}
	}
	var secrets *ferry.Credentials
	if given != (ferry.Credentials{}) {
		merged := MergeCredentials(have, given)
		secrets = &merged
	}
	if err := s.Store.UpdateIntegration(c.ctx, i, secrets); err != nil {
		return Integration{}, err
	}
	// What these credentials may do is not known yet.
	_, err = s.Store.Enqueue(c.ctx, store.Job{Integration: i.ID, Op: store.OpIntegration, Source: "manual", Priority: 24})
	s.Index.Ring()
	return IntegrationOf(i), err
}

// moved reports whether an end point leads to another host, scheme or port.
func moved(before, after ferry.Integration) bool {
	for _, e := range [][2]string{{before.APIEndpoint, after.APIEndpoint}, {before.SNSEndpoint, after.SNSEndpoint},
		{before.STSEndpoint, after.STSEndpoint}, {before.GitEndpoint, after.GitEndpoint}} {
		a, err1 := url.Parse(e[0])
		b, err2 := url.Parse(e[1])
		if err1 != nil || err2 != nil || a.Scheme != b.Scheme || !strings.EqualFold(a.Host, b.Host) {
			return true
		}
	}
	return false
}

// MergeCredentials puts what is given over what there is. What belongs
// together is replaced together: an access key comes without the old session
// token, an SSH key without the old passphrase.
func MergeCredentials(have, given ferry.Credentials) ferry.Credentials {
	if !given.SecretAccessKey.IsZero() {
		have.SecretAccessKey, have.SessionToken = given.SecretAccessKey, given.SessionToken
	}
	if !given.SessionToken.IsZero() {
		have.SessionToken = given.SessionToken
	}
	if !given.GitPassword.IsZero() {
		have.GitPassword = given.GitPassword
	}
	if !given.SSHPrivateKey.IsZero() {
		have.SSHPrivateKey, have.SSHPassphrase = given.SSHPrivateKey, given.SSHPassphrase
	}
	return have
}

func (s *Server) syncIntegration(c *call) (Found, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return Found{}, err
	}
	found, err := s.Discovery.Look(c.ctx, i.ID, nil)
	return FoundOf(found), err
}

// queuedAll says how many repositories were queued, and how many were passed
// over since they are disabled.
type queuedAll struct {
	Queued  int `json:"queued"`
	Skipped int `json:"skipped"`
}

// reindexIntegration queues the index of each of an integration's
// repositories.
func (s *Server) reindexIntegration(c *call) (queuedAll, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return queuedAll{}, err
	}
	n, skipped, err := s.pages.Reindex(c.ctx, i.ID)
	return queuedAll{n, skipped}, err
}

// repositoryNames are repositories of an account by name.
type repositoryNames struct {
	Repositories []string `json:"repositories"`
}

func (s *Server) connectRepositories(c *call, in repositoryNames) (Found, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return Found{}, err
	}
	if i.Kind != ferry.KindCodeCommit {
		return Found{}, &ferry.Message{Kind: ferry.ErrConflict, Text: "this integration is a single repository"}
	}
	found, err := s.Connections.Connect(c.ctx, i.ID, in.Repositories)
	return FoundOf(found), err
}

// A Removal says whether something is gone. While withdrawals wait for Jira it
// is not; ask again.
type Removal struct {
	Removed bool `json:"removed"`
	Waiting int  `json:"waiting"`
}

var forced = param{"force", "true: do not withdraw from Jira what it shows"}

func (s *Server) removeIntegration(c *call) (Removal, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return Removal{}, err
	}
	n, err := s.Connections.DisconnectAll(c.ctx, i, c.value("force") == "true")
	s.Outbox.Wake()
	return Removal{Removed: err == nil && n == 0, Waiting: n}, err
}

func (s *Server) listOfIntegration(c *call) (page[Repository], error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, c.param("slug"))
	if err != nil {
		return page[Repository]{}, err
	}
	repos, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return page[Repository]{}, fmt.Errorf("listing the repositories of %s: %w", i.Slug, err)
	}
	return cut(c, repos, RepositoryOf)
}
