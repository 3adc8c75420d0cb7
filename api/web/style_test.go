package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var token = regexp.MustCompile(`--([ck]-[\w-]+): (#[0-9A-F]{6});`)

func tokens(css string) map[string]string {
	m := make(map[string]string)
	for _, t := range token.FindAllStringSubmatch(css, -1) {
		m[t[1]] = t[2]
	}
	return m
}

// luminance and contrast are WCAG 2.2's formulas.
func luminance(hex string) float64 {
	v := func(s string) float64 {
		n, _ := strconv.ParseUint(s, 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*v(hex[1:3]) + 0.7152*v(hex[3:5]) + 0.0722*v(hex[5:7])
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Text can be read on everything it stands on, in both schemes; edges and the
// focus ring can be seen.
func TestContrast(t *testing.T) {
	b, err := staticFiles.ReadFile("static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	css := string(b)
	parts := strings.SplitN(css, "@media (prefers-color-scheme: dark)", 2)
	dark, rest, _ := strings.Cut(parts[1], ":root[data-theme=dark]")
	chosen, _, _ := strings.Cut(rest, "/* End of tokens. */")
	light := tokens(parts[0])
	if len(light) < 35 {
		t.Fatalf("found only %d colours", len(light))
	}
	for name, scheme := range map[string]map[string]string{"light": light, "dark": tokens(dark), "chosen dark": tokens(chosen)} {
		at := func(fg, bg string, least float64) {
			t.Helper()
			if scheme[fg] == "" || scheme[bg] == "" {
				t.Errorf("%s: %s or %s is not set", name, fg, bg)
			} else if c := contrast(scheme[fg], scheme[bg]); c < least {
				t.Errorf("%s: %s on %s has %.2f, want %.1f", name, fg, bg, c, least)
			}
		}
		for _, bg := range []string{"c-surface", "c-sunken", "c-raised", "c-hover"} {
			for _, fg := range []string{"c-text", "c-subtle", "c-subtlest", "c-link"} {
				at(fg, bg, 4.5)
			}
		}
		for _, s := range []string{"ok", "bad", "warn", "info", "merged", "neutral"} {
			at("c-"+s, "c-"+s+"-bg", 4.5)
			at("c-"+s, "c-surface", 4.5)
		}
		for _, k := range []string{"keyword", "string", "number", "comment", "function", "tag", "other"} {
			for _, bg := range []string{"c-add", "c-del", "c-surface"} {
				at("k-"+k, bg, 4.5)
			}
		}
		for _, bg := range []string{"c-add-n", "c-del-n"} {
			at("c-text", bg, 4.5)
		}
		at("c-on-brand", "c-brand", 4.5)
		at("c-on-brand", "c-danger", 4.5)
		for _, edge := range []string{"c-input", "c-brand"} {
			at(edge, "c-surface", 3)
		}
	}
}

// Components use tokens: no colour is written outside their block.
func TestColoursAreTokens(t *testing.T) {
	b, err := staticFiles.ReadFile("static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "/* End of tokens. */")
	if !ok {
		t.Fatal("the stylesheet does not say where its tokens end")
	}
	for _, found := range regexp.MustCompile(`#[0-9A-Fa-f]{3,8}\b|rgba?\(|hsla?\(`).FindAllString(rest, -1) {
		t.Errorf("colour %s outside the tokens", found)
	}
}

// The files that every page loads stay small.
func TestAssetSizes(t *testing.T) {
	w := newWorld(t)
	for name, a := range w.server.static {
		plain, wire := 10<<10, 4<<10
		if strings.HasSuffix(name, ".css") {
			plain, wire = 30<<10, 8<<10
		}
		if len(a.plain) > plain || len(a.gzip) > wire {
			t.Errorf("%s has %d bytes, %d on the wire; want at most %d and %d", name, len(a.plain), len(a.gzip), plain, wire)
		}
	}
}
