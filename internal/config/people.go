package config

import "gitferry/internal/ferry"

// An Integration to add at start: an AWS account in one region, or one git
// repository by its URL.
type Integration struct {
	Slug                string       `key:"slug" doc:"First part of the repositories' paths. Empty: the region code, or the host of url."`
	Name                string       `key:"name" doc:"Name shown to people. Empty: CodeCommit and the region code, or the host of url."`
	Kind                string       `key:"kind" oneof:"codecommit|git" doc:"codecommit for an account in a region, git for one repository by url. Empty: git where url is set, else codecommit."`
	Region              string       `key:"region" doc:"codecommit: AWS region code."`
	URL                 string       `key:"url" doc:"git: clone URL, https:// or ssh://."`
	Auth                string       `key:"auth" oneof:"none|basic|sigv4|ssh" doc:"How git signs in. Empty: ssh, basic or sigv4 by the credentials given, else none."`
	AccessKeyID         string       `key:"access_key_id" doc:"AWS access key, for the API and for auth sigv4."`
	SecretAccessKey     ferry.Secret `key:"secret_access_key" doc:"Secret of access_key_id."`
	SecretAccessKeyFile string       `key:"secret_access_key_file"`
	SessionToken        ferry.Secret `key:"session_token" doc:"Session token of temporary AWS credentials."`
	SessionTokenFile    string       `key:"session_token_file"`
	CredentialSource    string       `key:"credential_source" oneof:"environment|profile" doc:"Where the access key comes from if it is not given here: environment for AWS's default chain (variables, container, instance role), profile for AWS's shared files."`
	Profile             string       `key:"profile" doc:"credential_source profile: name of the profile."`
	RoleARN             string       `key:"role_arn" doc:"Role that the access key assumes."`
	ExternalID          string       `key:"external_id" doc:"External id to show when role_arn is assumed."`
	TopicARN            string       `key:"topic_arn" doc:"SNS topic for the triggers that exists already, in the same region. Empty: gitferry makes its own."`
	TopicSHA1           bool         `key:"topic_sha1" doc:"Whether messages with the old signature are taken, version 1 (SHA-1), which topics have unless their attribute SignatureVersion is 2."`
	GitUsername         string       `key:"git_username" doc:"auth basic: user name."`
	GitPassword         ferry.Secret `key:"git_password" doc:"auth basic: password or token."`
	GitPasswordFile     string       `key:"git_password_file"`
	SSHKeyID            string       `key:"ssh_key_id" doc:"auth ssh: key id that IAM shows, used as the user name; another host's user name."`
	SSHPrivateKey       ferry.Secret `key:"ssh_private_key" doc:"auth ssh: private key in PEM or OpenSSH form."`
	SSHPrivateKeyFile   string       `key:"ssh_private_key_file"`
	SSHPassphrase       ferry.Secret `key:"ssh_passphrase" doc:"Passphrase of ssh_private_key."`
	SSHPassphraseFile   string       `key:"ssh_passphrase_file"`
	HostKey             string       `key:"host_key" doc:"SSH host key of the upstream, as in known_hosts without the host. Empty: CodeCommit's published fingerprints decide."`
	APIEndpoint         string       `key:"api_endpoint" doc:"Base URL of the CodeCommit API. Empty: AWS's own."`
	SNSEndpoint         string       `key:"sns_endpoint" doc:"Base URL of the SNS API. Empty: AWS's own."`
	STSEndpoint         string       `key:"sts_endpoint" doc:"Base URL of the STS API, which gives sessions of role_arn. Empty: AWS's own."`
	GitEndpoint         string       `key:"git_endpoint" doc:"Base URL under which /v1/repos/NAME lies. Empty: AWS's own."`
	PrivateNetwork      bool         `key:"private_network" doc:"Whether the upstream may have a loopback or private address."`
	Repositories        []string     `key:"repositories" doc:"codecommit: names of the repositories to connect. Empty: all, those that appear later too."`
}

// A User to add at start.
type User struct {
	Name         string       `key:"name" doc:"Log-in name: a lower-case letter or digit, then up to 38 of a-z, 0-9, dot, underscore and dash."`
	Display      string       `key:"display" doc:"Name shown to people. Empty: name."`
	Email        string       `key:"email" doc:"Main e-mail address, by which commits are known to be this user's."`
	Aliases      []string     `key:"aliases" doc:"Further e-mail addresses."`
	Admin        bool         `key:"admin" doc:"Whether the user manages integrations, users and grants."`
	Password     ferry.Secret `key:"password" doc:"Password for the pages, 12 to 128 characters. Empty: none; the user signs in with a key or token."`
	PasswordFile string       `key:"password_file"`
	SSHKeys      []string     `key:"ssh_keys" doc:"Public keys, as in authorized_keys."`
}

// A Grant to add at start.
type Grant struct {
	User         string `key:"user" doc:"Name of the user."`
	Repositories string `key:"repositories" doc:"Glob over OWNER/NAME: * stays in one part, ** crosses them."`
	Level        string `key:"level" oneof:"none|read|write|admin" doc:"read: clone and fetch; write: push as well; admin: force, delete and maintain as well."`
}

// KindOf returns the kind, derived from the other keys where it is not given.
func (i Integration) KindOf() ferry.IntegrationKind {
	switch {
	case i.Kind != "":
		return ferry.IntegrationKind(i.Kind)
	case i.URL != "":
		return ferry.KindGit
	}
	return ferry.KindCodeCommit
}

// GitAuth returns how git signs in, derived from the credentials where auth
// is not given.
func (i Integration) GitAuth() ferry.GitAuth {
	switch {
	case i.Auth != "":
		return ferry.GitAuth(i.Auth)
	case !i.SSHPrivateKey.IsZero():
		return ferry.GitAuthSSH
	case i.GitUsername != "":
		return ferry.GitAuthBasic
	case i.AccessKeyID != "" || i.CredentialSource != "":
		return ferry.GitAuthSigV4
	}
	return ferry.GitAuthNone
}

// Ferry returns the integration and its credentials in the words of the other
// packages. Slug and Name are left empty where the file gives none. For kind
// git, GitEndpoint is the clone URL.
func (i Integration) Ferry() (ferry.Integration, ferry.Credentials) {
	endpoint := i.GitEndpoint
	if i.KindOf() == ferry.KindGit {
		endpoint = i.URL
	}
	return ferry.Integration{
			Slug: i.Slug, Name: i.Name, Kind: i.KindOf(), Region: i.Region, GitAuth: i.GitAuth(),
			AccessKeyID: i.AccessKeyID, GitUsername: i.GitUsername, SSHKeyID: i.SSHKeyID,
			APIEndpoint: i.APIEndpoint, SNSEndpoint: i.SNSEndpoint, STSEndpoint: i.STSEndpoint, GitEndpoint: endpoint,
			CredentialSource: i.CredentialSource, Profile: i.Profile, RoleARN: i.RoleARN, ExternalID: i.ExternalID,
			TopicARN: i.TopicARN, TopicSHA1: i.TopicSHA1,
			HostKey: i.HostKey, PrivateNetwork: i.PrivateNetwork, ConnectAll: i.KindOf() == ferry.KindCodeCommit && len(i.Repositories) == 0,
		}, ferry.Credentials{
			SecretAccessKey: i.SecretAccessKey, SessionToken: i.SessionToken, GitPassword: i.GitPassword,
			SSHPrivateKey: i.SSHPrivateKey, SSHPassphrase: i.SSHPassphrase,
		}
}

// Ferry returns the user in the words of the other packages, without password
// and keys.
func (u User) Ferry() ferry.User {
	return ferry.User{Name: u.Name, Display: u.Display, Email: u.Email, Aliases: u.Aliases, Admin: u.Admin}
}
