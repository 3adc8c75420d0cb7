package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
	"gitferry/proxy"
)

// settingHostKeys is the setting that holds the fingerprints of the SSH host
// keys, by file name.
const settingHostKeys = "ssh.host_keys"

// hostKeys reads the SSH host keys and makes them at the first start. Keys are
// never replaced silently: one that is missing or another than before stops
// the start, since every developer's ssh would rightly refuse it.
func hostKeys(ctx context.Context, a *app) ([]ssh.Signer, error) {
	known := make(map[string]string)
	if err := a.store.Setting(ctx, settingHostKeys, &known); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	kinds := []struct {
		name string
		make func() (crypto.PrivateKey, error)
	}{
		{"ssh_host_ed25519_key", func() (crypto.PrivateKey, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}},
		{"ssh_host_rsa_key", func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) }},
	}
	var signers []ssh.Signer
	changed := false
	for _, k := range kinds {
		path := filepath.Join(a.cfg.DataDir, k.name)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && known[k.name] == "" {
			text, err = makeHostKey(path, k.make)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the SSH host key (restore %s from a backup; its fingerprint was %s): %w", path, known[k.name], err)
		}
		signer, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("reading the SSH host key %s: %w", path, err)
		}
		fingerprint := ssh.FingerprintSHA256(signer.PublicKey())
		switch known[k.name] {
		case fingerprint:
		case "":
			known[k.name], changed = fingerprint, true
		default:
			return nil, fmt.Errorf("the SSH host key %s has the fingerprint %s, it was %s; put the old key back: %w", path, fingerprint, known[k.name], ferry.ErrInvalid)
		}
		signers = append(signers, signer)
	}
	if changed {
		return signers, a.store.SetSetting(ctx, settingHostKeys, known)
	}
	return signers, nil
}

func makeHostKey(path string, generate func() (crypto.PrivateKey, error)) ([]byte, error) {
	key, err := generate()
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "gitferry")
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	return text, os.WriteFile(path, text, 0o600)
}

// sshDoor makes the SSH door.
func sshDoor(ctx context.Context, a *app, host string) (*proxy.SSHDoor, error) {
	keys, err := hostKeys(ctx, a)
	if err != nil {
		return nil, err
	}
	return &proxy.SSHDoor{
		HostKeys: keys,
		Authenticate: func(ctx context.Context, key ssh.PublicKey, addr string) (ferry.Subject, error) {
			return a.store.SubjectByKey(ctx, ssh.FingerprintSHA256(key), addr)
		},
		Known: func(ctx context.Context, key ssh.PublicKey) bool {
			return a.store.KnowsKey(ctx, ssh.FingerprintSHA256(key))
		},
		Serve:    a.proxy.ServeSSH,
		Greeting: fmt.Sprintf("There is no shell here. Clone with: git clone ssh://%s/OWNER/NAME\nPages and help: %s", host, a.publicURL),
		Log:      a.log,
	}, nil
}
