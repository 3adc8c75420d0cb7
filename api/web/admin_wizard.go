package web

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
)

// awsTime bounds the calls to AWS that a page waits for.
const awsTime = 20 * time.Second

type wizardView struct {
	page
	Section string
	Step    int
	Git     gitForm
	Problem string
}

// gitForm is the quick start with a single repository.
type gitForm struct {
	URL, Username, SSHKeyID, HostKey string
	PrivateNetwork                   bool
}

// adminNew is step 1 of adding an integration.
func (s *Server) adminNew(r *request) error {
	v := wizardView{page: s.page(r, "Add integration", "admin"), Section: "integrations", Step: 1}
	return s.render(r, http.StatusOK, "admin_new", &v)
}

// adminNewGit connects a single repository.
func (s *Server) adminNewGit(r *request) error {
	v := wizardView{page: s.page(r, "Add integration", "admin"), Section: "integrations", Step: 1, Git: gitForm{URL: r.form("url"), Username: r.form("username"),
		SSHKeyID: r.form("ssh_key_id"), HostKey: r.form("host_key"), PrivateNetwork: r.ticked("private_network")}}
	i := ferry.Integration{Kind: ferry.KindGit, Name: r.form("name"), GitEndpoint: v.Git.URL, GitUsername: v.Git.Username, SSHKeyID: v.Git.SSHKeyID,
		HostKey: v.Git.HostKey, PrivateNetwork: v.Git.PrivateNetwork, GitAuth: ferry.GitAuthNone}
	secrets := ferry.Credentials{GitPassword: ferry.NewSecret(r.FormValue("password")), SSHPrivateKey: ferry.NewSecret(r.FormValue("private_key")), SSHPassphrase: ferry.NewSecret(r.FormValue("passphrase"))}
	switch {
	case !secrets.SSHPrivateKey.IsZero():
		i.GitAuth = ferry.GitAuthSSH
		i.GitEndpoint = codecommit.WithSSHKeyID(i.GitEndpoint, i.SSHKeyID)
	case i.GitUsername != "":
		i.GitAuth = ferry.GitAuthBasic
	}
	if v.Problem = sshKeyProblem(secrets.SSHPrivateKey.Reveal()); v.Problem == "" && v.Git.URL == "" {
		v.Problem = "Enter the repository's URL."
	}
	if v.Problem == "" {
		ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
		defer cancel()
		added, _, err := s.Connections.Add(ctx, i, secrets, nil)
		if err == nil {
			s.audit(r, "integration.create", "integration "+added.Slug, i.GitEndpoint)
			return s.done(r, "/admin/integrations", display(added.Name, added.Slug)+" is connected. Its first copy is queued.")
		}
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
	}
	return s.render(r, http.StatusUnprocessableEntity, "admin_new", &v)
}

// sshKeyProblem tells apart what people paste in the place of a private key.
func sshKeyProblem(key string) string {
	switch {
	case key == "":
		return ""
	case strings.HasPrefix(strings.TrimSpace(key), "ssh-"), strings.HasPrefix(strings.TrimSpace(key), "ecdsa-"):
		return "That is the public half of the key. Paste the private half, which begins with BEGIN and ends with PRIVATE KEY."
	case strings.HasPrefix(strings.TrimSpace(key), "PuTTY-User-Key-File"):
		return "That is a PuTTY key file. Export it in OpenSSH form: puttygen key.ppk -O private-openssh -o key."
	case !strings.Contains(key, "PRIVATE KEY"):
		return "That is no private key in PEM or OpenSSH form. Make one with: ssh-keygen -t rsa -b 4096 -m PEM -f codecommit_key."
	}
	return ""
}

// accountForm are the fields of step 2 and of the connection tab.
type accountForm struct {
	AccessKeyID, Region, Name       string
	Source, Profile, RoleARN, ExtID string
	GitAuth, GitUsername, SSHKeyID  string
	HostKey                         string
	API, SNS, STS, Git              string
	PrivateNetwork                  bool
	Advanced                        bool // the closed part holds something
	Regions                         []regionGroup
}

type regionGroup struct {
	Name    string
	Regions []codecommit.Region
}

func regionGroups() []regionGroup {
	var groups []regionGroup
	for _, reg := range codecommit.Regions() {
		if len(groups) == 0 || groups[len(groups)-1].Name != reg.Group {
			groups = append(groups, regionGroup{Name: reg.Group})
		}
		g := &groups[len(groups)-1]
		g.Regions = append(g.Regions, reg)
	}
	return groups
}

func accountFormOf(i ferry.Integration) accountForm {
	return accountForm{AccessKeyID: i.AccessKeyID, Region: i.Region, Name: i.Name, Source: i.CredentialSource, Profile: i.Profile, RoleARN: i.RoleARN, ExtID: i.ExternalID,
		GitAuth: string(i.GitAuth), GitUsername: i.GitUsername, SSHKeyID: i.SSHKeyID, HostKey: i.HostKey, API: i.APIEndpoint, SNS: i.SNSEndpoint, STS: i.STSEndpoint, Git: i.GitEndpoint,
		PrivateNetwork: i.PrivateNetwork, Regions: regionGroups(),
		Advanced: i.CredentialSource != "" || i.RoleARN != "" || i.GitAuth != ferry.GitAuthSigV4 && i.GitAuth != "" || i.APIEndpoint != "" || i.SNSEndpoint != "" || i.STSEndpoint != "" || i.GitEndpoint != ""}
}

var accessKeyID = regexp.MustCompile(`^[A-Za-z0-9_]{16,128}$`)

// readAccount takes over the fields of the form.
func readAccount(r *request, i *ferry.Integration) ferry.Credentials {
	i.AccessKeyID, i.Name = r.form("access_key_id"), r.form("name")
	i.CredentialSource, i.Profile, i.RoleARN, i.ExternalID = r.form("source"), r.form("profile"), r.form("role_arn"), r.form("external_id")
	i.GitAuth, i.GitUsername, i.SSHKeyID, i.HostKey = ferry.GitAuth(r.form("git_auth")), r.form("git_username"), r.form("ssh_key_id"), r.form("host_key")
	i.APIEndpoint, i.SNSEndpoint, i.STSEndpoint, i.GitEndpoint = r.form("api_endpoint"), r.form("sns_endpoint"), r.form("sts_endpoint"), r.form("git_endpoint")
	i.PrivateNetwork = r.ticked("private_network")
	if i.GitAuth == "" {
		i.GitAuth = ferry.GitAuthSigV4
	}
	return ferry.Credentials{SecretAccessKey: ferry.NewSecret(r.form("secret_access_key")), GitPassword: ferry.NewSecret(r.FormValue("git_password")),
		SSHPrivateKey: ferry.NewSecret(r.FormValue("private_key")), SSHPassphrase: ferry.NewSecret(r.FormValue("passphrase"))}
}

// accountProblem says which field of an account cannot be right.
func accountProblem(i ferry.Integration, secrets ferry.Credentials, haveSecret bool) (field, why string) {
	switch {
	case i.Region == "" || !codecommit.ValidRegion(i.Region):
		return "region", "Choose a region."
	case i.CredentialSource == "" && !accessKeyID.MatchString(i.AccessKeyID):
		return "access_key_id", "An access key ID has 16 to 128 letters and digits, for example AKIA followed by 16 more."
	case i.CredentialSource == "" && secrets.SecretAccessKey.IsZero() && !haveSecret:
		return "secret_access_key", "Enter the secret access key."
	case !slices.Contains([]ferry.GitAuth{ferry.GitAuthSigV4, ferry.GitAuthBasic, ferry.GitAuthSSH}, i.GitAuth):
		return "git_auth", "Choose how git signs in."
	}
	return "", sshKeyProblem(secrets.SSHPrivateKey.Reveal())
}

type accountView struct {
	page
	Section string
	Step    int
	Form    accountForm
	Field   string
	Problem string
}

// adminAccount is step 2: credentials of an AWS account.
func (s *Server) adminAccount(r *request) error {
	v := accountView{page: s.page(r, "Add AWS CodeCommit", "admin"), Section: "integrations", Step: 2, Form: accountFormOf(ferry.Integration{GitAuth: ferry.GitAuthSigV4})}
	_ = s.Store.Preference(r.ctx(), r.subject.User.ID, "region", &v.Form.Region) // none on first use
	return s.render(r, http.StatusOK, "admin_account", &v)
}

// adminAccountPost tries the credentials and stores them if they can list.
func (s *Server) adminAccountPost(r *request) error {
	i := ferry.Integration{Kind: ferry.KindCodeCommit, Region: r.form("region")}
	secrets := readAccount(r, &i)
	v := accountView{page: s.page(r, "Add AWS CodeCommit", "admin"), Section: "integrations", Step: 2, Form: accountFormOf(i)}
	if v.Field, v.Problem = accountProblem(i, secrets, false); v.Problem != "" {
		return s.render(r, http.StatusUnprocessableEntity, "admin_account", &v)
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	if _, err := s.tryAccount(ctx, &i, secrets); err != nil {
		if v.Problem = text(err); v.Problem == "" {
			v.Problem = "AWS cannot be reached: " + err.Error()
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_account", &v)
	}
	if i.Name == "" {
		i.Name = "CodeCommit " + i.Region
	}
	if err := s.uniqueName(ctx, &i); err != nil {
		return err
	}
	added, _, err := s.Connections.Add(ctx, i, secrets, nil)
	if err != nil {
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_account", &v)
	}
	if err := s.Store.SetPreference(r.ctx(), r.subject.User.ID, "region", i.Region); err != nil {
		return err
	}
	s.audit(r, "integration.create", "integration "+added.Slug, "account "+added.Account)
	return r.Redirect(http.StatusSeeOther, integrationPath(added.ID)+"/select")
}

// uniqueName adds " (2)" to a display name that another integration has.
func (s *Server) uniqueName(ctx context.Context, i *ferry.Integration) error {
	all, err := s.Store.Integrations(ctx)
	if err != nil {
		return err
	}
	name := i.Name
	for n := 2; slices.ContainsFunc(all, func(o ferry.Integration) bool { return o.ID != i.ID && o.Name == i.Name }); n++ {
		i.Name = fmt.Sprintf("%s (%d)", name, n)
	}
	return nil
}

// tryAccount asks AWS who the credentials are and what they can list.
func (s *Server) tryAccount(ctx context.Context, i *ferry.Integration, secrets ferry.Credentials) ([]codecommit.RepositoryName, error) {
	c, err := codecommit.New(ctx, codecommit.Config{Integration: *i, Credentials: secrets, Source: codecommit.Source(i.CredentialSource), Profile: i.Profile,
		RoleARN: i.RoleARN, ExternalID: i.ExternalID, HTTP: s.Dialer.HTTPClient(i.PrivateNetwork)})
	if err != nil {
		return nil, err
	}
	who, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	i.Account = who.Account
	return c.ListRepositories(ctx)
}
