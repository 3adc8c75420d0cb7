// Package config reads gitferry's settings: one YAML file, then the
// environment, over safe defaults.
//
// The struct Config is the only description of the settings. The keys of the
// file, the names of the environment variables (http.listen is
// GITFERRY_HTTP_LISTEN), the reader, the checks' places and the reference in
// docs/configuration.md are all made from its fields, so that they cannot
// drift apart. An unknown key in the file is an error.
//
// Faults are reported together, one line each, with the place (file, line and
// column, or variable), the key, the fault and what to do. No value of a
// secret, and no excerpt of the file, is ever part of it.
//
// cmd/gitferry calls it at start and hands the parts to the packages that
// need them; no other package of ours knows it. It opens no listener, makes
// no directory but a missing master key file, and knows no default that is
// open to the network.
package config

import (
	"gitferry/internal/ferry"
)

// Config holds all settings. In the tags, key is the name in the file, doc
// the sentence of the reference; "one of" values stand in oneof, separated by
// a bar. Load fills it; a program may also start from Default and Validate.
type Config struct {
	DataDir       string `key:"data_dir" doc:"Directory of everything that gitferry keeps: books, mirrors, host keys. Relative to the working directory. Made with mode 0700."`
	MasterKeyFile string `key:"master_key_file" doc:"File with the 32-byte master key that seals stored secrets, as 64 hexadecimal digits; outside data_dir, mode 0400. Empty: master.key beside the configuration file, made at the first start."`

	HTTP         HTTP          `key:"http"`
	OIDC         OIDC          `key:"oidc"`
	SSH          SSH           `key:"ssh"`
	Upstream     Upstream      `key:"upstream"`
	PassThrough  PassThrough   `key:"pass_through"`
	Mirror       Mirror        `key:"mirror"`
	Gate         Gate          `key:"gate"`
	Policy       Policy        `key:"policy"`
	SmartCommits SmartCommits  `key:"smart_commits"`
	Jira         Jira          `key:"jira"`
	Log          Log           `key:"log"`
	Integrations []Integration `key:"integrations" doc:"Integrations to add at start where none of that slug exists; later changes are made in the pages, the API or the command line."`
	Users        []User        `key:"users" doc:"Users to add at start where none of that name exists."`
	Grants       []Grant       `key:"grants" doc:"Grants to add at start where the user has none for that glob."`

	base    string            // directory of the file, "." without one
	sources map[string]string // where a key was set: "FILE:LINE:COL" or a variable
}

// HTTP is the door for git over HTTP, the pages and the APIs.
type HTTP struct {
	Listen         string   `key:"listen" doc:"Address and port. Port 0 takes a free one."`
	TLSCert        string   `key:"tls_cert" doc:"PEM file with the certificate chain. Needs tls_key."`
	TLSKey         string   `key:"tls_key" doc:"PEM file with the private key of tls_cert."`
	PublicURL      string   `key:"public_url" doc:"Scheme, host and port under which people reach gitferry; used in every link, clone URL and trigger. Empty: made from listen."`
	TrustedProxies []string `key:"trusted_proxies" doc:"Addresses or networks (CIDR) of proxies that end TLS and whose X-Forwarded-For is believed."`
}

// OIDC is an OpenID Connect provider at which people may log in to the pages,
// beside their passwords. Issuer is empty when there is none.
type OIDC struct {
	Issuer           string       `key:"issuer" doc:"Address of the provider, exactly as its ID tokens name it in iss. Its metadata is read from /.well-known/openid-configuration below it. Empty: people log in with passwords only. At the provider register the redirect address http.public_url with /login/oidc/callback."`
	ClientID         string       `key:"client_id" doc:"Id of gitferry at the provider."`
	ClientSecret     ferry.Secret `key:"client_secret" doc:"Secret of client_id. Empty: a public client; PKCE is used either way."`
	ClientSecretFile string       `key:"client_secret_file"`
	Label            string       `key:"label" doc:"Name of the provider on the log-in page, after Log in with."`
	Claim            string       `key:"claim" oneof:"email|preferred_username" doc:"How the first log-in finds the user: email is compared with the addresses of users and counts only when the provider says that it is verified; preferred_username is compared with user names, and is safe only where people cannot choose it at the provider. The user is then bound to the provider's subject, and later log-ins go by that alone."`
	Domains          []string     `key:"domains" doc:"Domains of the verified e-mail address that may log in, such as example.com. Empty: any."`
	Create           bool         `key:"create" doc:"Whether somebody whom the provider knows and gitferry does not becomes a user at the first log-in, without access to any repository."`
	PrivateNetwork   bool         `key:"private_network" doc:"Whether the provider may be at a private address, and for a stand-in on this machine at http."`
}

// SSH is the door for git over SSH.
type SSH struct {
	Listen     string `key:"listen" doc:"Address and port, or off. Port 0 takes a free one."`
	PublicHost string `key:"public_host" doc:"Host, or host:port, shown in SSH clone URLs. Empty: the host of http.public_url with the port of listen."`
}

// Upstream bounds the sessions with the upstream.
type Upstream struct {
	Freshness    Duration `key:"freshness" doc:"How old the last look at the upstream may be when somebody fetches. 0s looks at every fetch; fetches at the same time share one look."`
	LookTimeout  Duration `key:"look_timeout" doc:"How long a fetch waits for that look before the mirror is served as it is, marked with its age."`
	Poll         Duration `key:"poll" doc:"The shortest time between two looks that nobody asked for; after a quiet time they get rarer, a quarter of it apart. 0s: no such looks."`
	PollNotified Duration `key:"poll_notified" doc:"The same for repositories for which notifications come."`
	PollMax      Duration `key:"poll_max" doc:"The longest time between two such looks."`
	List         Duration `key:"list" doc:"How often the list of repositories is read of accounts that connect later ones too; of others it is read once a day."`
}

// PassThrough bounds the use of people's own CodeCommit git credentials, in
// integrations that take those.
type PassThrough struct {
	OfflineGrace Duration `key:"offline_grace" doc:"How long somebody whom the upstream let read goes on reading while the upstream cannot be asked. At most 1h: whoever loses the right at AWS keeps it here that long. 0s: nobody reads then."`
}

// Mirror says what the mirrors keep.
type Mirror struct {
	UnreachableTTL Duration `key:"unreachable_ttl" doc:"How long the mirrors keep what no ref reaches any more after a forced push or a deletion. Whoever may read a repository can fetch it by its ID until then. 0s: until a purge."`
}

// Gate says how a push is carried and what it may hold.
type Gate struct {
	Stream       bool     `key:"stream" doc:"Whether a pack flows to the upstream while it is checked, its end held back. Off: every pack is stored first and sent after approval."`
	StoreBelow   Size     `key:"store_below" doc:"Packs up to this size are stored first in any case, which is cheaper than a stalled stream."`
	MaxHold      Duration `key:"max_hold" doc:"How long the end of a streamed pack is held. Longer checks cancel the stream and send the stored pack after approval."`
	CheckTimeout Duration `key:"check_timeout" doc:"How long the checks of one push may take; a push that needs longer is refused."`
	Index        string   `key:"index" oneof:"before|after" doc:"When git reads a pack to index and check it: before the upstream gets its end, or after, which is faster for large packs. After: our own reading of the pack and the policy decide about the push, nothing of it can be read before git has found it sound, and if git does not, the mirror reads the upstream instead."`
	Limits       Limits   `key:"limits"`
}

// Limits bound one push; one that exceeds them is refused.
type Limits struct {
	Commands      int64 `key:"commands" doc:"Ref updates in one push (CodeCommit's own limit is 4000)."`
	PackBytes     Size  `key:"pack_bytes" doc:"Size of the pack."`
	Objects       int64 `key:"objects" doc:"Objects in the pack."`
	ObjectBytes   Size  `key:"object_bytes" doc:"Inflated size of one object (CodeCommit's own limit for a file is 2 GB)."`
	InflatedBytes Size  `key:"inflated_bytes" doc:"Inflated size of all objects together."`
	Commits       int64 `key:"commits" doc:"New commits that are judged in one push."`
	FreeDisk      Size  `key:"free_disk" doc:"Free space of the data directory below which pushes are refused; reads go on."`
}

// Policy says which pushes are refused before the upstream sees them.
type Policy struct {
	RequireKey           bool     `key:"require_key" doc:"Whether every new commit must name an issue."`
	KeyMustExist         bool     `key:"key_must_exist" doc:"Whether the named issue must exist in Jira. While Jira cannot be reached keys are not checked. With this rule everybody who may push can find out which issues exist; without it only those whose Jira account can be assigned issues of the project are told."`
	Projects             []string `key:"projects" doc:"Jira project keys that count. Empty: every project that Jira has."`
	ProtectDefaultBranch bool     `key:"protect_default_branch" doc:"Whether forced pushes to the default branch and its deletion are refused."`
	AdminsMayRewrite     bool     `key:"admins_may_rewrite" doc:"Whether those with the admin level on the repository may do so all the same."`
	RefuseSimilarNames   bool     `key:"refuse_similar_names" doc:"Whether a new branch or tag is refused when its name differs from another only by case or Unicode form. Otherwise the pusher is warned."`
	AllowNotes           bool     `key:"allow_notes" doc:"Whether refs below refs/notes/ may be pushed."`
	MessagePattern       string   `key:"message_pattern" doc:"Regular expression (RE2, up to 1024 bytes) that every new commit message must match. Empty: none."`
	ExemptMerges         bool     `key:"exempt_merges" doc:"Whether merge commits need no key and need not match message_pattern."`
	ExemptReverts        bool     `key:"exempt_reverts" doc:"The same for commits made by git revert."`
	ExemptUsers          []string `key:"exempt_users" doc:"User names whose pushes these rules do not judge."`
	ExemptBranches       []string `key:"exempt_branches" doc:"Branch globs that these rules do not judge: * stays between slashes, ** crosses them."`
}

// SmartCommits says who carries out commands in commit messages.
type SmartCommits struct {
	Processor string   `key:"processor" oneof:"gitferry|jira|off" doc:"gitferry carries commands out itself; jira leaves them to Jira's own processor, which knows fewer; off carries out none."`
	MaxAge    Duration `key:"max_age" doc:"Commands of commits older than this are not carried out; the commit is linked all the same."`
}

// Jira is the one site that issue keys lead to. Kind is empty when there is none.
type Jira struct {
	Kind                    string       `key:"kind" oneof:"|cloud|datacenter" doc:"Edition of the site. Empty: no Jira, or one that is set up in the pages."`
	URL                     string       `key:"url" doc:"Base URL of the site, with its context path if it has one."`
	Email                   string       `key:"email" doc:"Cloud: e-mail address of the service account that owns api_token."`
	APIToken                ferry.Secret `key:"api_token" doc:"Cloud: API token of the service account."`
	APITokenFile            string       `key:"api_token_file"`
	ClientID                string       `key:"client_id" doc:"Cloud: OAuth credentials of the site, for development information."`
	ClientSecret            ferry.Secret `key:"client_secret" doc:"Cloud: secret of client_id."`
	ClientSecretFile        string       `key:"client_secret_file"`
	PersonalAccessToken     ferry.Secret `key:"personal_access_token" doc:"Data Center: personal access token of the service account."`
	PersonalAccessTokenFile string       `key:"personal_access_token_file"`
	DevinfoURL              string       `key:"devinfo_url" doc:"Cloud: base URL of the development information API. Empty: Atlassian's own."`
	TokenURL                string       `key:"token_url" doc:"Cloud: where client_id and client_secret are changed for a token. Empty: devinfo_url with /oauth/token."`
}

// Log says what is logged, and how, on standard error.
type Log struct {
	Level  string `key:"level" oneof:"debug|info|warn|error" doc:"Least level that is logged."`
	Format string `key:"format" oneof:"text|json" doc:"One line per record, for people or for machines."`
}
