package config

import (
	"fmt"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

var (
	slugForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,38}$`)
	userForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,38}$`) // as ferry.User.Name
	regionForm   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)
	accessKeyID  = regexp.MustCompile(`^[A-Za-z0-9]{16,128}$`) // IAM's own limits
	roleForm     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	topicForm    = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	sshKeyIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
)

func (k checker) integrations() {
	slugs := map[string]int{}
	for i, in := range k.Integrations {
		at := fmt.Sprintf("integrations[%d]", i)
		if in.Slug != "" {
			if !slugForm.MatchString(in.Slug) {
				k.bad(at+".slug", "%.60q cannot stand in a path; write up to 39 of a-z, 0-9, dot, underscore and dash, a letter or digit first", in.Slug)
			}
			if first, taken := slugs[in.Slug]; taken {
				k.bad(at+".slug", "%s is the slug of integrations[%d] already; give it another", in.Slug, first)
			}
			slugs[in.Slug] = i
		}
		if in.KindOf() == ferry.KindGit {
			k.single(at, in)
		} else {
			k.account(at, in)
		}
		k.credentials(at, in)
	}
}

// account checks what only an AWS account may have.
func (k checker) account(at string, in Integration) {
	switch {
	case in.URL != "":
		k.bad(at+".url", "belongs to kind git; for CodeCommit give region, and git_endpoint if it is not AWS's own")
	case in.Region == "":
		k.bad(at, "no region; give the AWS region code, such as us-east-1")
	case !regionForm.MatchString(in.Region):
		k.bad(at+".region", "%.40q is no region code; write for example us-east-1", in.Region)
	}
	switch {
	case in.AccessKeyID == "" && in.CredentialSource == "":
		k.bad(at, "no access_key_id; the CodeCommit API needs an access key, or a credential_source")
	case in.AccessKeyID != "" && in.CredentialSource != "":
		k.bad(at+".credential_source", "an access key is given as well; leave one of them out")
	case (in.CredentialSource == "profile") != (in.Profile != ""):
		k.bad(at+".profile", "profile and credential_source: profile belong together")
	}
	if in.RoleARN != "" && !roleForm.MatchString(in.RoleARN) {
		k.bad(at+".role_arn", "%.120q is no ARN of a role; want arn:aws:iam::ACCOUNT:role/NAME", in.RoleARN)
	}
	if in.ExternalID != "" && in.RoleARN == "" {
		k.bad(at+".external_id", "belongs to role_arn; give that too")
	}
	if in.TopicARN != "" && !topicForm.MatchString(in.TopicARN) {
		k.bad(at+".topic_arn", "%.120q is no ARN of a standard topic; want arn:aws:sns:REGION:ACCOUNT:NAME", in.TopicARN)
	}
	for _, e := range []struct{ key, value string }{{".api_endpoint", in.APIEndpoint}, {".sns_endpoint", in.SNSEndpoint}, {".sts_endpoint", in.STSEndpoint}} {
		if e.value != "" {
			k.endpoint(at+e.key, e.value, in.PrivateNetwork, "https")
		}
	}
	if in.GitEndpoint != "" {
		k.endpoint(at+".git_endpoint", in.GitEndpoint, in.PrivateNetwork, "https", "ssh")
	}
	for n, name := range in.Repositories {
		if _, err := ferry.ParseRepositoryName(name); err != nil {
			k.bad(fmt.Sprintf("%s.repositories[%d]", at, n), "%s", strings.TrimSuffix(err.Error(), ": "+ferry.ErrInvalid.Error()))
		}
	}
}

// single checks what only one git repository may have.
func (k checker) single(at string, in Integration) {
	if in.URL == "" {
		k.bad(at, "no url; give the clone URL, https:// or ssh://")
	} else {
		k.endpoint(at+".url", in.URL, in.PrivateNetwork, "https", "ssh")
	}
	if in.Region != "" {
		k.bad(at+".region", "belongs to kind codecommit; take it out")
	}
	if len(in.Repositories) > 0 {
		k.bad(at+".repositories", "belongs to kind codecommit; take it out")
	}
	if in.GitAuth() == ferry.GitAuthSigV4 {
		k.bad(at, "auth sigv4 works only for CodeCommit; use basic with git_username and git_password")
	}
}

// endpoint checks the URL of an upstream; clear text is for loopback and
// private networks only.
func (k checker) endpoint(key, text string, private bool, schemes ...string) {
	if private {
		schemes = append(schemes, "http")
	}
	if strings.HasPrefix(text, "http://") && !private {
		k.bad(key, "credentials would cross the network in clear text; use https, or private_network: true for a stand-in on this machine")
		return
	}
	k.url(key, text, schemes...)
}

func (k checker) credentials(at string, in Integration) {
	if in.AccessKeyID != "" && !accessKeyID.MatchString(in.AccessKeyID) {
		k.bad(at+".access_key_id", "is no access key id; want 16 to 128 letters and digits")
	}
	if (in.AccessKeyID == "") != in.SecretAccessKey.IsZero() {
		k.bad(at, "access_key_id and secret_access_key belong together; give both or neither")
	}
	if in.SSHKeyID != "" && !sshKeyIDForm.MatchString(in.SSHKeyID) {
		k.bad(at+".ssh_key_id", "is no SSH key id; copy it from IAM, for example APKAEIBAERJR2EXAMPLE")
	}
	switch in.GitAuth() {
	case ferry.GitAuthBasic:
		if in.GitUsername == "" || in.GitPassword.IsZero() {
			k.bad(at, "auth basic needs git_username and git_password")
		}
	case ferry.GitAuthSSH:
		if in.SSHPrivateKey.IsZero() {
			k.bad(at, "auth ssh needs ssh_private_key or ssh_private_key_file")
		}
		if in.SSHKeyID == "" && in.KindOf() == ferry.KindCodeCommit {
			k.bad(at, "auth ssh needs ssh_key_id, which IAM shows beside the uploaded public key")
		}
	case ferry.GitAuthSigV4:
		if in.AccessKeyID == "" && in.CredentialSource == "" {
			k.bad(at, "auth sigv4 needs access_key_id and secret_access_key")
		}
	}
}

func (k checker) people() {
	names := map[string]int{}
	for i, u := range k.Users {
		at := fmt.Sprintf("users[%d]", i)
		if !userForm.MatchString(u.Name) {
			k.bad(at+".name", "%.60q is no log-in name; write up to 39 of a-z, 0-9, dot, underscore and dash, a letter or digit first", u.Name)
		}
		if first, taken := names[u.Name]; taken {
			k.bad(at+".name", "%s is the name of users[%d] already", u.Name, first)
		}
		names[u.Name] = i
		for _, address := range append([]string{u.Email}, u.Aliases...) {
			if address != "" && !strings.Contains(strings.Trim(address, "@"), "@") {
				k.bad(at, "%.80q is no e-mail address", address)
			}
		}
		if n := len(u.Password.Reveal()); n > 0 && (n < 12 || n > 128) {
			k.bad(at+".password", "want 12 to 128 characters")
		}
		for n, key := range u.SSHKeys {
			if len(strings.Fields(key)) < 2 {
				k.bad(fmt.Sprintf("%s.ssh_keys[%d]", at, n), "is no public key; copy the whole line of the .pub file")
			}
		}
	}
	for i, g := range k.Grants {
		at := fmt.Sprintf("grants[%d]", i)
		if g.User == "" {
			k.bad(at, "no user; name who gets the grant")
		}
		if g.Repositories == "" || len(g.Repositories) > ferry.MaxGlob {
			k.bad(at, "repositories: want a glob over OWNER/NAME of 1 to %d bytes, such as us-east-1/*", ferry.MaxGlob)
		}
		if g.Level == "" {
			k.bad(at, "no level; write none, read, write or admin")
		}
	}
}
