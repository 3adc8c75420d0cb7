package proxy

import (
	"bytes"
	"context"
	//lint:ignore SA1019 keys of this kind must be refused
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// TestSSHAlgorithms reads the door's offer from the wire.
func TestSSHAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	d := startDoor(t, func(d *SSHDoor) {
		d.HostKeys = append(d.HostKeys, signer)
		d.Authenticate = func(_ context.Context, key ssh.PublicKey, _ string) (ferry.Subject, error) {
			if !bytes.Equal(key.Marshal(), signer.PublicKey().Marshal()) {
				return ferry.Subject{}, ferry.ErrDenied
			}
			return ferry.Subject{User: ferry.User{ID: 3, Name: "carol"}}, nil
		}
	})
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "SSH-2.0-look\r\n")
	version := make([]byte, len("SSH-2.0-gitferry\r\n"))
	io.ReadFull(conn, version)
	if string(version) != "SSH-2.0-gitferry\r\n" {
		t.Errorf("version %q", version)
	}
	var head [5]byte
	io.ReadFull(conn, head[:])
	packet := make([]byte, binary.BigEndian.Uint32(head[:])-1)
	if _, err := io.ReadFull(conn, packet); err != nil || packet[0] != 20 {
		t.Fatalf("no KEXINIT: %v", err)
	}
	packet = packet[17:]
	var lists [][]string
	for range 6 {
		n := binary.BigEndian.Uint32(packet)
		lists = append(lists, strings.Split(string(packet[4:4+n]), ","))
		packet = packet[4+n:]
	}
	slices.Sort(lists[1]) // the client's order decides
	ciphers := []string{"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr"}
	macs := []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"}
	want := [][]string{
		{"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "kex-strict-s-v00@openssh.com"},
		{"rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519"},
		ciphers, ciphers, macs, macs,
	}
	if diff := cmp.Diff(want, lists); diff != "" {
		t.Errorf("offer (-want +got):\n%s", diff)
	}
	// A user's RSA key may not sign with SHA-1.
	old, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.Dial("tcp", d.addr, d.config(old)); err == nil {
		t.Error("let in by a SHA-1 signature")
	}
	d.dial(t, signer)
}

func TestParsePublicKey(t *testing.T) {
	good, _ := newKey(t)
	line := func(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }
	rsaKey := func(bits int) ssh.PublicKey { // a modulus of the size is enough
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		key, err := ssh.NewPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ecKey := func(c elliptic.Curve) ssh.PublicKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.NewPublicKey(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	certificate := &ssh.Certificate{Key: good.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, good); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"Ed25519":        line(good.PublicKey()),
		"with a comment": strings.TrimSpace(line(good.PublicKey())) + " alice@laptop\n",
		"RSA 2048":       line(rsaKey(2048)),
		"RSA 8192":       line(rsaKey(8192)),
		"ECDSA P-256":    line(ecKey(elliptic.P256())),
		"ECDSA P-521":    line(ecKey(elliptic.P521())),
	} {
		if _, _, err := ParsePublicKey(in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{
		"empty":       "",
		"text":        "hello",
		"RSA 2047":    line(rsaKey(2047)),
		"RSA 8193":    line(rsaKey(8193)),
		"certificate": line(certificate),
		"options":     `command="id" ` + line(good.PublicKey()),
		"two lines":   line(good.PublicKey()) + line(good.PublicKey()),
		"private":     "-----BEGIN OPENSSH PRIVATE KEY-----",
		"long":        strings.TrimSpace(line(good.PublicKey())) + " " + strings.Repeat("x", maxKeyLine),
	} {
		if _, _, err := ParsePublicKey(in); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	n := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	old := dsa.PublicKey{Parameters: dsa.Parameters{P: n(1024), Q: n(160), G: big.NewInt(2)}, Y: big.NewInt(4)}
	if key, err := ssh.NewPublicKey(&old); err == nil && CheckPublicKey(key) == nil {
		t.Error("a DSA key is accepted")
	}
}
