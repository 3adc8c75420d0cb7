package proxy

import (
	"crypto/rsa"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// The algorithms offered, in order of preference.
var (
	sshKeyExchanges  = []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519} // x/crypto adds the libssh.org alias
	sshCiphers       = []string{ssh.CipherAES256GCM, ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR, ssh.CipherAES128CTR}
	sshMACs          = []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}
	sshHostRSA       = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	sshKeyAlgorithms = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	}
)

// maxKeyLine is the longest line of a public key accepted, in bytes.
const maxKeyLine = 16 << 10

// ParsePublicKey reads a public key as people paste it: one line of an
// authorized_keys file without options in front. The comment is returned
// beside it. Kinds and sizes are those of CheckPublicKey. It fails with
// ferry.ErrInvalid.
func ParsePublicKey(line string) (key ssh.PublicKey, comment string, err error) {
	if len(line) > maxKeyLine {
		return nil, "", fmt.Errorf("public key is longer than %d bytes: %w", maxKeyLine, ferry.ErrInvalid)
	}
	line = strings.TrimSpace(line)
	if strings.ContainsAny(line, "\r\n") {
		return nil, "", fmt.Errorf("public key: want one line: %w", ferry.ErrInvalid)
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return nil, "", fmt.Errorf("this is a private key; give the .pub half: %w", ferry.ErrInvalid)
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("public key is not in the form \"ssh-ed25519 AAAA… comment\": %w", ferry.ErrInvalid)
	case len(options) > 0 || len(rest) > 0:
		return nil, "", fmt.Errorf("public key: options in front of the key are not supported: %w", ferry.ErrInvalid)
	}
	return key, comment, CheckPublicKey(key)
}

// CheckPublicKey refuses, with ferry.ErrInvalid, every key but Ed25519,
// ECDSA, the two kinds of security keys, and RSA of 2048 to 8192 bits:
// above that a signature costs minutes (CVE-2026-39829).
func CheckPublicKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		if c, ok := key.(ssh.CryptoPublicKey); ok {
			if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192 {
				return nil
			}
		}
		return fmt.Errorf("RSA key: want 2048 to 8192 bits: %w", ferry.ErrInvalid)
	}
	return fmt.Errorf("keys of kind %.40q are not accepted: %w", key.Type(), ferry.ErrInvalid)
}

// hostSigner keeps RSA keys from signing with SHA-1.
func hostSigner(key ssh.Signer) (ssh.Signer, error) {
	switch key.PublicKey().Type() {
	case ssh.KeyAlgoED25519:
		return key, nil
	case ssh.KeyAlgoRSA:
		if s, ok := key.(ssh.AlgorithmSigner); ok {
			return ssh.NewSignerWithAlgorithms(s, sshHostRSA)
		}
	}
	return nil, fmt.Errorf("ssh: host key of kind %s: want Ed25519 or RSA: %w", key.PublicKey().Type(), ferry.ErrInvalid)
}
