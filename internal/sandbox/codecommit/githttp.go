package codecommit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
)

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"

	maxFetchBody = 256 << 20 // bytes of wants and haves
	maxPushBody  = 4 << 30   // bytes of commands and pack
)

// gitPath splits a repository's path; group 1 is the region, if named, 2 the
// repository's own path, 3 its name and 4 what comes after.
var gitPath = regexp.MustCompile(`^(?:/([a-z]{2}(?:-[a-z]+)+-\d+))?(/v1/repos/([^/]+))(/.*)?$`)

// A session is one signed-in use of a repository.
type session struct {
	caller     *identity
	repository *repository
	region     string
	service    string // git-upload-pack or git-receive-pack
	protocol   string // GIT_PROTOCOL of the client, "" if not sent
}

// serveGit answers the smart HTTP requests (gitprotocol-http) with the
// statuses of the real service.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	m := gitPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		http.NotFound(w, r)
		return
	}
	var service string
	info := false
	switch q := r.URL.Query().Get("service"); {
	case m[4] == "/info/refs" && r.Method == http.MethodGet && (q == uploadPack || q == receivePack):
		service, info = q, true
	case m[4] == "/"+uploadPack && r.Method == http.MethodPost:
		service = uploadPack
	case m[4] == "/"+receivePack && r.Method == http.MethodPost:
		service = receivePack
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="AWS CodeCommit"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	caller, region, ok := s.signIn(r, user, password, m)
	if !ok {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	repo := s.repository(region, m[3])
	if repo == nil || service == "" {
		http.Error(w, "Not Found", http.StatusNotFound)
		return
	}
	if s.denied(gitAction(service)) {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	ss := session{caller: caller, repository: repo, region: region, service: service, protocol: gitProtocol(r.Header.Get("Git-Protocol"))}
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if info {
		s.answerAdvertisement(w, r, ss)
		return
	}
	s.answerService(w, r, ss)
}

// gitProtocol returns the GIT_PROTOCOL value of a client if it is one that
// exists, else "".
func gitProtocol(value string) string {
	if value == "version=1" || value == "version=2" {
		return value
	}
	return ""
}

// gitAction names the permission that a git service needs.
func gitAction(service string) string {
	if service == receivePack {
		return "codecommit:GitPush"
	}
	return "codecommit:GitPull"
}

// signIn checks a user name and password: static git credentials or a SigV4
// password. m is the match of gitPath.
func (s *Server) signIn(r *http.Request, user, password string, m []string) (caller *identity, region string, ok bool) {
	for _, id := range s.users {
		if equal(user, id.GitUsername) {
			if !equal(password, id.GitPassword) {
				return nil, "", false
			}
			if region = m[1]; region == "" {
				region = s.plainRegion(m[3])
			}
			return id, region, true
		}
	}
	keyID, token, _ := strings.Cut(user, "%")
	id := s.byAccessKey(keyID)
	if id == nil || !equal(token, id.SessionToken) || !id.expires.IsZero() && s.cfg.Now().After(id.expires) {
		return nil, "", false
	}
	paths := []string{m[2]}
	if m[1] != "" {
		paths = append(paths, "/"+m[1]+m[2])
	}
	regions := s.knownRegions()
	if m[1] != "" {
		regions = []string{m[1]}
	}
	region, ok = verifyGitPassword(id.SecretAccessKey, password, s.cfg.Now().UTC(), regions, signedHosts(r.Host), paths)
	return id, region, ok
}

func (s *Server) answerAdvertisement(w http.ResponseWriter, r *http.Request, ss session) {
	var out bytes.Buffer
	if err := s.advertise(r.Context(), &out, ss, true); err != nil {
		s.cfg.Log.Error("advertising refs", "repo", ss.repository.id, "err", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+ss.service+"-advertisement")
	w.Write(out.Bytes())
}

func (s *Server) answerService(w http.ResponseWriter, r *http.Request, ss session) {
	limit := int64(maxFetchBody)
	if ss.service == receivePack {
		limit = maxPushBody
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
		body = io.LimitReader(z, limit)
	}
	w.Header().Set("Content-Type", "application/x-"+ss.service+"-result")
	in := bufio.NewReaderSize(body, 64<<10)
	out := &flushing{w: w, ctl: http.NewResponseController(w)}
	var err error
	if ss.service == receivePack {
		err = s.receive(r.Context(), ss, in, out)
	} else {
		err = s.upload(r.Context(), ss, in, out)
	}
	if err == nil {
		return
	}
	s.cfg.Log.Debug("git session", "service", ss.service, "repo", ss.repository.id, "err", err)
	if !out.wrote {
		w.Header().Del("Content-Type")
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	}
}

// A flushing writer sends each write to the client at once, as progress has to
// be.
type flushing struct {
	w     io.Writer
	ctl   *http.ResponseController
	wrote bool
}

func (f *flushing) Write(p []byte) (int, error) {
	f.wrote = true
	n, err := f.w.Write(p)
	if err == nil {
		f.ctl.Flush() // best effort: only delays the client
	}
	return n, err
}
