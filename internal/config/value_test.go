package config

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second, "2h": 2 * time.Hour,
		"14d": 14 * day, "1d12h": 36 * time.Hour, "3650d": 3650 * day,
	} {
		var got Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("Duration %q = %v, %v, want %v", text, time.Duration(got), err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("Duration %q written as %q is read as %v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"30":     "30 has no unit: write for example 30s, 30m or 30h",
		"":       `"" is no duration: write a number with the unit ms, s, m, h or d, such as 30s or 14d`,
		"soon":   `"soon" is no duration: write a number with the unit ms, s, m, h or d, such as 30s or 14d`,
		"-1s":    "-1s is out of range: want 0s to 3650d",
		"3651d":  "3651d is out of range: want 0s to 3650d",
		"1h1d":   `"1h1d" is no duration: write a number with the unit ms, s, m, h or d, such as 30s or 14d`,
		"99999d": `"99999d" is no duration: write a number with the unit ms, s, m, h or d, such as 30s or 14d`,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("Duration %q = %v, want %q", text, err, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "65536": 65536, "512KiB": 512 << 10, "1 MiB": 1 << 20, "2GiB": 2 << 30, "2GB": 2e9, "9223372036854775807": 1<<63 - 1,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("Size %q = %d, %v, want %d", text, got, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("Size %q written as %q is read as %d, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"8388608TiB": "8388608TiB is out of range: want less than 8 EiB",
		"-1":         `"-1" is no size: write a whole number of bytes, or one with a unit such as 512KiB, 1MiB or 2GiB`,
		"1.5GiB":     `"1.5GiB" is no size: write a whole number of bytes, or one with a unit such as 512KiB, 1MiB or 2GiB`,
		"MiB":        `"MiB" is no size: write a whole number of bytes, or one with a unit such as 512KiB, 1MiB or 2GiB`,
	} {
		var z Size
		if err := z.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("Size %q = %v, want %q", text, err, want)
		}
	}
	if got := Size(2e9).String(); got != "2GB" {
		t.Errorf("Size(2e9).String() = %s, want 2GB", got)
	}
}
