package codecommit

import (
	"context"
	"io"

	"gitferry/internal/git"
)

// What CodeCommit's servers offer (an advertisement captured in 2018 and the
// CloudTrail samples of the user guide). delete-refs is not in the samples,
// which show what clients chose and never hold it; but git refuses to ask for
// a deletion without it, and the user guide deletes branches with git push.
const (
	uploadCapabilities  = "multi_ack_detailed shallow side-band-64k thin-pack allow-tip-sha1-in-want allow-reachable-sha1-in-want"
	receiveCapabilities = "report-status delete-refs side-band-64k"
)

func (s *Server) isLikeGit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.likeGit
}

// advertise writes the first message of the service, over HTTP with the line
// that names it. Unless told to be like git, it ignores which protocol version
// the client asks for and offers what CodeCommit offers.
func (s *Server) advertise(ctx context.Context, w io.Writer, ss session, overHTTP bool) error {
	if s.isLikeGit() {
		return s.advertiseLikeGit(ctx, w, ss, overHTTP)
	}
	if overHTTP {
		if _, err := io.WriteString(w, packet("# service="+ss.service+"\n")+flushPacket); err != nil {
			return err
		}
	}
	lines, err := s.advertisedRefs(ctx, ss)
	if err != nil {
		return err
	}
	capabilities := uploadCapabilities
	if ss.service == receivePack {
		capabilities = receiveCapabilities
	}
	if len(lines) == 0 {
		lines = []ref{{oid: zeroID, name: "capabilities^{}"}}
	}
	for i, f := range lines {
		line := f.oid + " " + f.name
		if i == 0 {
			line += "\x00" + capabilities
		}
		if _, err := io.WriteString(w, packet(line+"\n")); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, flushPacket)
	return err
}

// advertisedRefs lists the refs as they stand in an advertisement: for a fetch
// with HEAD, which no symref explains, and with peeled tags.
func (s *Server) advertisedRefs(ctx context.Context, ss session) ([]ref, error) {
	refs, err := s.refs(ctx, ss.repository)
	if err != nil || ss.service == receivePack {
		return refs, err
	}
	s.mu.Lock()
	head := "refs/heads/" + ss.repository.defaultBranch
	s.mu.Unlock()
	var lines []ref
	for _, f := range refs {
		if f.name == head {
			lines = append([]ref{{oid: f.oid, name: "HEAD"}}, lines...)
		}
		lines = append(lines, f)
		if f.peeled != "" {
			lines = append(lines, ref{oid: f.peeled, name: f.name + "^{}"})
		}
	}
	return lines, nil
}

func (s *Server) advertiseLikeGit(ctx context.Context, w io.Writer, ss session, overHTTP bool) error {
	cmd := git.Command{Stdout: w, Args: []string{ss.service[len("git-"):], "--http-backend-info-refs", ss.repository.dir}}
	if ss.service == uploadPack {
		cmd.Protocol = ss.protocol
	}
	if overHTTP && cmd.Protocol != "version=2" { // as git http-backend does
		if _, err := io.WriteString(w, packet("# service="+ss.service+"\n")+flushPacket); err != nil {
			return err
		}
	}
	return s.run(ctx, cmd)
}
