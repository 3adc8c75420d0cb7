package pktline

import (
	"strings"
	"unicode/utf8"
)

// SanitizeTerminal makes text fit for a terminal: it keeps no control byte
// but LF and TAB (a CR becomes LF, the others vanish), no bidirectional
// control character, and shows invalid UTF-8 as U+FFFD (CVE-2024-52005 is
// what happens without it). The result of a sanitized text is the same text.
func SanitizeTerminal(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\n' && c != '\t' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '\r':
			if i < len(s) && s[i] == '\n' {
				continue
			}
			b.WriteByte('\n')
		case r < 0x20 && r != '\n' && r != '\t', r >= 0x7f && r <= 0x9f, isBidi(r):
		default:
			b.WriteRune(r) // U+FFFD for invalid bytes
		}
	}
	return b.String()
}

// isBidi reports whether r is a control of the Unicode bidirectional
// algorithm (UAX 9, Bidi_Control), which can make text read differently.
func isBidi(r rune) bool {
	return r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// oneLine is SanitizeTerminal for places where a line end would break the
// framing of a message: line ends and tabs become spaces, at most limit bytes
// are kept.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, SanitizeTerminal(s))
	s = strings.TrimSpace(s)
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return s
}

// maxRemoteText bounds the text kept of the other side's error messages.
const maxRemoteText = 4 << 10

func newRemoteError(p []byte) *RemoteError {
	s := string(p[:min(len(p), maxRemoteText)])
	return &RemoteError{Text: strings.TrimRight(SanitizeTerminal(s), "\n")}
}

// WriteError sends an "ERR" packet: git shows the text and stops. It may
// stand in place of an advertisement or any later packet. The text is
// sanitized and put on one line of at most 4 KiB.
func WriteError(w *Writer, text string) error {
	return w.Printf("ERR %s\n", oneLine(text, maxRemoteText))
}
