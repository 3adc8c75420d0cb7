package web

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// visible makes a rendered page say where it holds characters that a reader
// cannot see or that turn text around: each becomes its code point, such as
// ‹U+202E› (security.md, UI-11). Bytes that are no UTF-8 become U+FFFD. Our
// own templates use none of them, so the whole page can be treated alike.
func visible(page []byte) []byte {
	if !suspicious(page) {
		return page
	}
	out := make([]byte, 0, len(page)+len(page)/8)
	for len(page) > 0 {
		r, n := utf8.DecodeRune(page)
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, "\uFFFD"...)
		case unseen(r):
			out = fmt.Appendf(out, "‹U+%04X›", r)
		default:
			out = append(out, page[:n]...)
		}
		page = page[n:]
	}
	return out
}

// suspicious is a quick look for bytes that any unseen character begins with.
func suspicious(page []byte) bool {
	if !utf8.Valid(page) {
		return true
	}
	for _, lead := range []string{"\xe2\x80", "\xe2\x81", "\xef\xbb\xbf", "\xc2", "\xd8\x9c", "\xe1\xa0\x8e", "\xf3\xa0", "\xe3\x85\xa4"} {
		if bytes.Contains(page, []byte(lead)) {
			return true
		}
	}
	for _, c := range page {
		if c < 0x20 && unseen(rune(c)) || c == 0x7f {
			return true
		}
	}
	return false
}

// unseen reports whether a character has no shape of its own: controls,
// bidirectional controls, joiners, fillers and tags.
func unseen(r rune) bool {
	switch {
	case r == '\n', r == '\t', r == '\r':
		return false
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r == 0xad, r == 0x61c, r == 0x180e, r == 0x3164, r == 0xfeff:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}
