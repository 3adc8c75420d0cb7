package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// sigV4 holds every value of one signature, so that a test can compare each
// step with the published vectors.
type sigV4 struct {
	canonicalRequest string
	stringToSign     string
	signingKey       []byte
	signature        string
	username         string
	password         string
}

// SigV4Password makes the user name and password that CodeCommit's git end
// points accept as HTTP Basic credentials for an access key
// (aws/git-remote-codecommit, git_remote_codecommit/__init__.py).
//
// sessionToken is empty for long-term keys. host is the host as it stands in
// the URL, with its port if it has one; path is "/v1/repos/NAME". The password
// opens that repository for about 15 minutes around at, so make a new one for
// each operation.
func SigV4Password(accessKeyID, secretAccessKey, sessionToken, region, host, path string, at time.Time) (username, password string) {
	s := signV4(accessKeyID, secretAccessKey, sessionToken, region, host, path, at)
	return s.username, s.password
}

func signV4(accessKeyID, secretAccessKey, sessionToken, region, host, path string, at time.Time) sigV4 {
	var s sigV4
	// The time carries no trailing Z in anything that is signed.
	stamp := at.UTC().Format("20060102T150405")
	day := stamp[:8]
	s.canonicalRequest = "GIT\n" + path + "\n\nhost:" + host + "\n\nhost\n"
	digest := sha256.Sum256([]byte(s.canonicalRequest))
	s.stringToSign = "AWS4-HMAC-SHA256\n" + stamp + "\n" +
		day + "/" + region + "/codecommit/aws4_request\n" +
		hex.EncodeToString(digest[:])
	key := []byte("AWS4" + secretAccessKey)
	for _, part := range []string{day, region, "codecommit", "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	s.signingKey = key
	s.signature = hex.EncodeToString(hmacSHA256(key, s.stringToSign))
	s.username = accessKeyID
	if sessionToken != "" {
		s.username += "%" + sessionToken
	}
	s.password = stamp + "Z" + s.signature
	return s
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
