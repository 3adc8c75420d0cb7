package pktline

import (
	"bytes"
	"fmt"

	"gitferry/internal/ferry"
)

// A Report is the answer to a push (gitprotocol-pack, "Report Status").
type Report struct {
	Unpack string // "ok", or why the pack could not be taken
	Refs   []RefStatus
}

// A RefStatus is what became of one command.
type RefStatus struct {
	Name   ferry.RefName
	OK     bool
	Reason string // if not OK, in the words of whoever refused; may be empty
}

// maxReportLines bounds the lines of a report: a status per command and, in
// report-status-v2, up to four option lines each.
const maxReportLines = 5*MaxCommands + 1

// maxReason is the most bytes of an unpack error or a reason that are written.
const maxReason = 4 << 10

// ReadReport reads a report up to its flush packet. With side-band-64k the
// report travels in band 1: give it NewReader(NewDemux(…)). The option lines
// of report-status-v2 are skipped. Texts are as sent, not sanitized.
//
// It fails with ferry.ErrInvalid for anything out of form, with a
// *RemoteError for an "ERR" packet, and with io.ErrUnexpectedEOF if the
// stream ends before the flush packet: the outcome is then unknown.
func ReadReport(r *Reader) (*Report, error) {
	report := new(Report)
	for lines := 0; ; lines++ {
		kind, p, err := r.Read()
		if err != nil {
			return nil, fmt.Errorf("reading report: %w", unexpected(err))
		}
		if kind == Flush && lines > 0 {
			return report, nil
		}
		if kind != Data {
			return nil, fmt.Errorf("reading report: %s packet: %w", kind, ferry.ErrInvalid)
		}
		if lines > maxReportLines {
			return nil, fmt.Errorf("reading report: more than %d lines: %w", maxReportLines, ferry.ErrInvalid)
		}
		line := chomp(p)
		if text, ok := bytes.CutPrefix(line, []byte("ERR ")); ok {
			return nil, fmt.Errorf("reading report: %w", newRemoteError(text))
		}
		if lines == 0 {
			text, ok := bytes.CutPrefix(line, []byte("unpack "))
			if !ok || len(text) == 0 {
				return nil, fmt.Errorf("reading report: first line %.80q, want \"unpack\": %w", line, ferry.ErrInvalid)
			}
			report.Unpack = string(text)
			continue
		}
		if err := report.line(line); err != nil {
			return nil, fmt.Errorf("reading report: %w", err)
		}
	}
}

func (r *Report) line(line []byte) error {
	word, rest, _ := bytes.Cut(line, []byte{' '})
	status := RefStatus{}
	switch string(word) {
	case "ok":
		status.OK = true
	case "ng":
		var reason []byte
		rest, reason, _ = bytes.Cut(rest, []byte{' '})
		status.Reason = string(reason)
	case "option":
		if len(r.Refs) == 0 || !r.Refs[len(r.Refs)-1].OK {
			return fmt.Errorf("option line %.80q does not follow an ok: %w", line, ferry.ErrInvalid)
		}
		return nil
	default:
		return fmt.Errorf("line %.80q: want ok, ng or option: %w", line, ferry.ErrInvalid)
	}
	name, err := ferry.ParseRefName(string(rest))
	if err != nil {
		return err
	}
	status.Name = name
	r.Refs = append(r.Refs, status)
	return nil
}

// WriteReport writes a report with its flush packet, as report-status, which
// is also a valid report-status-v2. Texts are sanitized and put on one line
// of at most 4 KiB; an empty Unpack counts as "ok".
func WriteReport(w *Writer, report *Report) error {
	return w.together(func(w *Writer) error { return writeReport(w, report) })
}

func writeReport(w *Writer, report *Report) error {
	unpack := "ok"
	if report.Unpack != "" && report.Unpack != "ok" {
		unpack = oneLine(report.Unpack, maxReason)
		if unpack == "" || unpack == "ok" {
			unpack = "failed" // sanitizing must not turn a failure into a success
		}
	}
	if err := w.Printf("unpack %s\n", unpack); err != nil {
		return err
	}
	for _, s := range report.Refs {
		line := "ok " + string(s.Name)
		if !s.OK {
			reason := oneLine(s.Reason, maxReason)
			if reason == "" {
				reason = "failed"
			}
			line = "ng " + string(s.Name) + " " + reason
		}
		if err := w.Printf("%s\n", line); err != nil {
			return err
		}
	}
	return w.Flush()
}
