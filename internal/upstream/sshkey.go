package upstream

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// An SSHKey is a private key that was read and may be used for git sessions.
type SSHKey struct {
	signer ssh.Signer
	rsa    bool
	// Public is the public half as one line of authorized_keys, without a
	// comment: what is pasted into IAM.
	Public string
	// Fingerprint is the public half's: "SHA256:…".
	Fingerprint string
}

const sshKeyRemedy = "make one with: ssh-keygen -t rsa -b 4096 -f codecommit_key"

// ParseSSHKey reads a private key in PEM or OpenSSH form. For codeCommit only
// RSA keys of at least 2048 bits are taken, which is what IAM accepts
// (IAM API reference, UploadSSHPublicKey).
//
// It fails with a *ferry.Message of kind ferry.ErrInvalid that tells a public
// key, a PuTTY file, an unreadable form, a missing and a wrong passphrase, and
// an unsuitable key apart.
func ParseSSHKey(key, passphrase ferry.Secret, codeCommit bool) (*SSHKey, error) {
	bad := func(format string, args ...any) (*SSHKey, error) {
		return nil, &ferry.Message{Kind: ferry.ErrInvalid, Text: "SSH key: " + fmt.Sprintf(format, args...)}
	}
	text := strings.TrimSpace(strings.ReplaceAll(key.Reveal(), "\r\n", "\n"))
	if len(text) > 64<<10 {
		return bad("longer than 64 KiB")
	}
	switch {
	case text == "":
		return bad("no private key was given")
	case strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return bad("this is a PuTTY file; export it with puttygen as an OpenSSH key, or " + sshKeyRemedy)
	case isPublicKey(text):
		return bad("this is the public half; paste the private half here, the file without .pub")
	}
	raw, err := ssh.ParseRawPrivateKey([]byte(text + "\n"))
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked) && passphrase.IsZero():
		return bad("the key is protected by a passphrase; enter it too")
	case errors.As(err, &locked):
		raw, err = ssh.ParseRawPrivateKeyWithPassphrase([]byte(text+"\n"), []byte(passphrase.Reveal()))
		if err != nil {
			return bad("the passphrase is wrong")
		}
	case err != nil:
		return bad("the form is not readable; private keys in OpenSSH or PEM form are accepted; " + sshKeyRemedy)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return bad("this kind of key is not supported; " + sshKeyRemedy)
	}
	pub := signer.PublicKey()
	r, isRSA := raw.(*rsa.PrivateKey)
	switch {
	case isRSA && r.N.BitLen() < 2048:
		return bad("the RSA key has %d bits; at least 2048 are needed; %s", r.N.BitLen(), sshKeyRemedy)
	case codeCommit && !isRSA:
		return bad("CodeCommit takes RSA keys only, this one is %s; %s", pub.Type(), sshKeyRemedy)
	}
	return &SSHKey{
		signer:      signer,
		rsa:         isRSA,
		Public:      strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
		Fingerprint: ssh.FingerprintSHA256(pub),
	}, nil
}

func isPublicKey(text string) bool {
	if strings.Contains(text, "-----BEGIN") {
		return strings.Contains(text, "PUBLIC KEY-----")
	}
	_, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	return err == nil || strings.HasPrefix(text, "---- BEGIN SSH2 PUBLIC KEY")
}

// authMethod offers the key with SHA-2 signatures, and with SHA-1 last and
// only towards CodeCommit.
func (k *SSHKey) authMethod(codeCommit bool) (ssh.AuthMethod, error) {
	signer := k.signer
	if k.rsa {
		as, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("RSA signer cannot choose its algorithm")
		}
		var err error
		if signer, err = ssh.NewSignerWithAlgorithms(as, hostKeyAlgorithms(ssh.KeyAlgoRSA, codeCommit)); err != nil {
			return nil, err
		}
	}
	return ssh.PublicKeys(signer), nil
}
