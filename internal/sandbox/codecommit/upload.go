package codecommit

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"gitferry/internal/git"
)

// upload answers one fetch request from real git, after a look at what the
// client asks for.
func (s *Server) upload(ctx context.Context, ss session, in *bufio.Reader, out io.Writer) error {
	cmd := git.Command{Stdin: in, Stdout: out}
	if s.isLikeGit() {
		cmd.Protocol = ss.protocol
	} else {
		head, err := readWants(in)
		if err != nil {
			if fault, ok := err.(protocolFault); ok {
				io.WriteString(out, packet("ERR "+string(fault)))
				return nil
			}
			return err
		}
		cmd.Stdin = io.MultiReader(bytes.NewReader(head), in)
	}
	cmd.Args = []string{"upload-pack", "--strict", "--stateless-rpc", ss.repository.dir}
	return s.run(ctx, cmd)
}

// A protocolFault is something a client of the real service may not send.
type protocolFault string

func (f protocolFault) Error() string { return string(f) }

// readWants reads the wants of a fetch up to and with the flush packet and
// refuses what CodeCommit does not offer. It returns what it read.
func readWants(in *bufio.Reader) ([]byte, error) {
	var head bytes.Buffer
	for first := true; ; {
		line, flush, err := readPacket(in)
		if err == io.EOF && head.Len() == 0 {
			return nil, nil // a client that only looked
		}
		if err != nil {
			return nil, fmt.Errorf("reading wants: %w", err)
		}
		if flush {
			head.WriteString(flushPacket)
			return head.Bytes(), nil
		}
		text := strings.TrimSuffix(string(line), "\n")
		verb, rest, _ := strings.Cut(text, " ")
		switch verb {
		case "want":
			_, capabilities, _ := strings.Cut(rest, " ")
			if fault := foreign(capabilities, uploadCapabilities); first && fault != "" {
				return nil, protocolFault("capability " + fault + " is not supported")
			}
			first = false
		case "shallow", "deepen":
		default: // deepen-since, deepen-not, filter, and requests of protocol 2
			return nil, protocolFault(verb + " is not supported")
		}
		head.WriteString(packet(string(line)))
		if head.Len() > maxFetchBody {
			return nil, protocolFault("too many wants")
		}
	}
}

// foreign returns the first word of list that is not in allowed.
func foreign(list, allowed string) string {
	for word := range strings.FieldsSeq(list) {
		if !strings.Contains(" "+allowed+" ", " "+word+" ") {
			return word
		}
	}
	return ""
}
