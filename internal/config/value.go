package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Duration is written as a number with a unit, several of them in a row if
// need be: 500ms, 3s, 1m30s, 2h, 14d. A day has 24 hours.
type Duration time.Duration

// UnmarshalText reads a duration of 0 to 10 years.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	var days time.Duration
	rest := s
	if n, after, ok := strings.Cut(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return durationFault(s)
		}
		days, rest = time.Duration(count)*day, after
	}
	var v time.Duration
	if rest != "" {
		var err error
		if v, err = time.ParseDuration(rest); err != nil {
			return durationFault(s)
		}
	} else if s == "" {
		return durationFault(s)
	}
	if v < 0 || v > 3650*day-days {
		return fmt.Errorf("%s is out of range: want 0s to 3650d", s)
	}
	*d = Duration(days + v)
	return nil
}

func durationFault(s string) error {
	if _, err := strconv.ParseFloat(s, 64); err == nil && s != "" {
		return fmt.Errorf("%s has no unit: write for example %ss, %sm or %sh", s, s, s, s)
	}
	return fmt.Errorf("%.40q is no duration: write a number with the unit ms, s, m, h or d, such as 30s or 14d", s)
}

// String returns the duration as it may be written in the file.
func (d Duration) String() string {
	v := time.Duration(d)
	if v >= day && v%day == 0 {
		return fmt.Sprintf("%dd", v/day)
	}
	s := v.String() // such as 1h0m0s
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A Size is a number of bytes, written as a whole number with or without a
// unit: 65536, 512KiB, 1MiB, 2GiB, or in powers of ten 2GB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a size of 0 to 2^63-1 bytes.
func (z *Size) UnmarshalText(text []byte) error {
	s := string(text)
	number, factor := s, int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimSuffix(n, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return fmt.Errorf("%.40q is no size: write a whole number of bytes, or one with a unit such as 512KiB, 1MiB or 2GiB", s)
	}
	if n > uint64(1<<63-1)/uint64(factor) {
		return fmt.Errorf("%s is out of range: want less than 8 EiB", s)
	}
	*z = Size(int64(n) * factor)
	return nil
}

// String returns the size as it may be written in the file, in the unit that
// leaves the smallest whole number.
func (z Size) String() string {
	n, name := int64(z), "B"
	for _, u := range sizeUnits {
		if q := int64(z) / u.bytes; int64(z)%u.bytes == 0 && q < n {
			n, name = q, u.name
		}
	}
	return fmt.Sprintf("%d%s", n, name)
}
