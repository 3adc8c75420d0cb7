package codecommit

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Credentials are what one IAM user of the stand-in signs in with. They are
// random for each Server.
type Credentials struct {
	User string // IAM user name
	ARN  string

	AccessKeyID     string // "AKIA…" and 16 characters
	SecretAccessKey string
	SessionToken    string // only of temporary credentials

	GitUsername string // "USER-at-ACCOUNT"
	GitPassword string

	SSHKeyID      string // "APKA…" and 16 characters, the SSH user name
	SSHPrivateKey string // RSA, PEM
	HostKey       string // of the SSH face, as in known_hosts without the host: "ssh-rsa AAAA…"
}

// An identity is a caller that has signed in.
type identity struct {
	Credentials
	sshKey  ssh.PublicKey
	userID  string    // as STS writes it: "AIDA…", or "AROA…:SESSION"
	expires time.Time // of temporary credentials; zero: never
}

// Credentials returns the credentials of the first user.
func (s *Server) Credentials() Credentials { return s.credentials(s.users[0]) }

// CredentialsOf returns the credentials of the named user, false if there is
// none of that name.
func (s *Server) CredentialsOf(user string) (Credentials, bool) {
	for _, id := range s.users {
		if id.User == user {
			return s.credentials(id), true
		}
	}
	return Credentials{}, false
}

func (s *Server) credentials(id *identity) Credentials {
	c := id.Credentials
	c.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.hostKey.PublicKey())))
	return c
}

func newIdentity(account, user string) (*identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048) // CodeCommit takes RSA keys only
	if err != nil {
		return nil, fmt.Errorf("making an SSH key for %s: %w", user, err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key for %s: %w", user, err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return &identity{
		Credentials: Credentials{
			User:            user,
			ARN:             fmt.Sprintf("arn:aws:iam::%s:user/%s", account, user),
			AccessKeyID:     "AKIA" + randomID(16),
			SecretAccessKey: randomSecret(),
			GitUsername:     user + "-at-" + account,
			GitPassword:     randomSecret(),
			SSHKeyID:        "APKA" + randomID(16),
			SSHPrivateKey:   string(private),
		},
		sshKey: public,
		userID: "AIDA" + randomID(16),
	}, nil
}

// session returns temporary credentials for the same user and remembers them.
func (s *Server) session(id *identity) *identity { return s.temporary(*id, 12*time.Hour) }

// temporary gives c credentials that end after a time, and remembers them.
func (s *Server) temporary(c identity, life time.Duration) *identity {
	c.expires = s.cfg.Now().Add(life)
	c.AccessKeyID = "ASIA" + randomID(16)
	c.SecretAccessKey = randomSecret()
	c.SessionToken = rand.Text() + "/+" + rand.Text() + "==" // real tokens hold such characters too
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessKeys[c.AccessKeyID] = &c
	return &c
}

// byAccessKey returns whose access key ID it is, nil for nobody's.
func (s *Server) byAccessKey(id string) *identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accessKeys[id]
}

func randomID(n int) string { return rand.Text()[:n] }

func randomSecret() string { return rand.Text() + rand.Text()[:14] }

// A denial takes an action away from everybody, as an IAM policy without the
// grant would.
type denial struct {
	action string // "codecommit:CreateBranch", "sns:*"; letter case does not matter
	ref    string // only for this ref, a path.Match pattern; "" for all
}

func (d denial) String() string {
	if d.ref == "" {
		return d.action
	}
	return d.action + "@" + d.ref
}

func (d denial) covers(action string) bool {
	if head, ok := strings.CutSuffix(d.action, "*"); ok {
		return len(action) >= len(head) && strings.EqualFold(action[:len(head)], head)
	}
	return strings.EqualFold(d.action, action)
}

// denied reports whether an action is taken away as a whole.
func (s *Server) denied(action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.deny {
		if d.ref == "" && d.covers(action) {
			return true
		}
	}
	return false
}

// deniedRef reports whether an action is taken away for one ref.
func (s *Server) deniedRef(action, ref string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.deny {
		if d.ref != "" && d.covers(action) && matches(d.ref, ref) {
			return true
		}
	}
	return false
}
