package smartcommit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A duration is a working time in Jira's units: weeks, days, hours, minutes.
// They are kept apart because only Jira knows how long its days are.
type duration [4]int

const durationUnits = "wdhm"

// maxUnits bounds the number in front of one unit; more is no working time.
const maxUnits = 999_999

// String writes d in Jira's notation, "1w 2d 4h 30m".
func (d duration) String() string {
	var parts []string
	for i, n := range d {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d%c", n, durationUnits[i]))
		}
	}
	return strings.Join(parts, " ")
}

// week holds the length of each unit in minutes.
type week [4]float64

// weekOf returns the lengths for a site's settings, with Jira's defaults for
// what is not set or makes no sense.
func weekOf(days, hours float64) week {
	if !(days > 0 && days <= 7) {
		days = 5
	}
	if !(hours > 0 && hours <= 24) {
		hours = 8
	}
	return week{days * hours * 60, hours * 60, 60, 1}
}

func (w week) minutes(d duration) int {
	total := 0.0
	for i, n := range d {
		total += w[i] * float64(n)
	}
	return int(math.Round(total))
}

// spread splits a part of a unit into whole units from that one down.
func (w week) spread(unit int, fraction float64) duration {
	var d duration
	left := math.Round(w[unit] * fraction)
	for ; unit < len(w) && left > 0; unit++ {
		n := math.Floor(left / w[unit])
		d[unit] += int(n)
		left -= n * w[unit]
	}
	d[len(d)-1] += int(math.Round(left)) // days of broken minutes
	return d
}

// parseDuration reads the duration at the beginning of s: numbers, each with
// w, d, h or m behind it, blanks allowed anywhere. Equal units add up and
// fractions go to the smaller units. It returns what follows the duration,
// and false if there is none or it is zero.
func parseDuration(s string, w week) (duration, string, bool) {
	var sum duration
	for {
		d, rest, ok := parsePart(strings.TrimLeftFunc(s, unicode.IsSpace), w)
		if !ok {
			return sum, s, sum != duration{}
		}
		for i := range sum {
			if sum[i] += d[i]; sum[i] > maxUnits {
				return duration{}, s, false
			}
		}
		s = rest
	}
}

// parsePart reads one number with its unit.
func parsePart(s string, w week) (duration, string, bool) {
	var d duration
	whole := digits(s)
	rest := s[len(whole):]
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		if fraction = digits(rest[1:]); fraction != "" {
			rest = rest[1+len(fraction):]
		}
	}
	rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
	if whole == "" || rest == "" {
		return d, s, false
	}
	unit := strings.IndexByte(durationUnits, rest[0]|0x20)
	if unit < 0 || !isLetter(rest[0]) {
		return d, s, false
	}
	rest = rest[1:]
	if r, _ := utf8.DecodeRuneInString(rest); unicode.IsLetter(r) {
		return d, s, false // "2 hours", "3drafts"
	}
	n, err := strconv.Atoi(whole)
	if err != nil || n > maxUnits {
		n = maxUnits + 1 // refused by the caller, with all that adds to it
	}
	if fraction != "" {
		f, _ := strconv.ParseFloat("0."+fraction[:min(len(fraction), 12)], 64)
		d = w.spread(unit, f)
	}
	d[unit] += n
	return d, rest, true
}

// digits returns the ASCII digits at the beginning of s.
func digits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}
