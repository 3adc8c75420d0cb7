package web

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// The first run: the token is in a file that only its owner reads, it works
// once, and leads to a signed-in administrator.
func TestSetup(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	if status, _, h := b.get("/"); status != http.StatusSeeOther || h.Get("Location") != "/login?next=%2F" {
		t.Errorf("GET / at first: %d to %s", status, h.Get("Location"))
	}
	if status, _, h := b.get("/login"); status != http.StatusSeeOther || h.Get("Location") != "/setup" {
		t.Errorf("GET /login at first: %d to %s", status, h.Get("Location"))
	}
	w.must(w.server.FirstRun(t.Context()))
	b.page("/setup", "Set-up token")
	file := filepath.Join(w.dir, "setup-token")
	info, err := os.Stat(file)
	w.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the token is %v, want 0600", info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	w.must(err)
	token := strings.TrimSpace(string(text))
	for field, fields := range map[string][]string{
		"token":    {"token", "wrong", "name", "admin", "password", testPassword},
		"password": {"token", token, "name", "admin", "password", "short"},
		"name":     {"token", token, "name", "Bad Name", "password", testPassword},
	} {
		status, body, _ := b.post("/setup", fields...)
		checkHTML(t, "setup "+field, body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, `<a href="#`+field+`">`) {
			t.Errorf("setup with a bad %s: %d", field, status)
		}
	}
	if status, _, h := b.post("/setup", "token", token, "name", "admin", "password", testPassword, "read_all", "1"); status != http.StatusSeeOther || h.Get("Location") != "/" {
		t.Fatalf("setup: %d", status)
	}
	b.page("/", "The administrator account is made", "Connect Jira", "Add integration")
	if _, err := os.Stat(file); err == nil {
		t.Error("the token's file is still there")
	}
	if status, _, _ := w.browser().post("/setup", "token", token, "name", "second", "password", testPassword); status != http.StatusNotFound {
		t.Errorf("setup a second time: %d, want 404", status)
	}
	if status, _, h := b.get("/setup"); status != http.StatusSeeOther || h.Get("Location") != "/" {
		t.Errorf("GET /setup afterwards: %d", status)
	}
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	w.user("alice", ferry.LevelRead, false)
	gone := w.user("gone", ferry.LevelRead, false)
	gone.Disabled = true
	w.must(w.store.UpdateUser(t.Context(), gone))
	nokey, err := w.store.AddUser(t.Context(), ferry.User{Name: "nokey"})
	w.must(err)
	_ = nokey
	b := w.browser()
	b.page("/login?next=/repos", `value="/repos"`)
	for _, c := range [][2]string{{"alice", "wrong-password-here"}, {"gone", testPassword}, {"nobody", testPassword}, {"nokey", testPassword}, {"nokey", ""}} {
		status, body, h := b.post("/login", "name", c[0], "password", c[1])
		checkHTML(t, "log-in", body)
		if status != http.StatusUnauthorized || !strings.Contains(body, "Name or password is wrong") || h.Get("Set-Cookie") != "" {
			t.Errorf("log-in as %v: %d, cookie %q", c, status, h.Get("Set-Cookie"))
		}
	}
	status, _, h := b.post("/login", "name", "alice", "password", testPassword, "next", "/repos")
	if status != http.StatusSeeOther || h.Get("Location") != "/repos" {
		t.Fatalf("log-in: %d to %s", status, h.Get("Location"))
	}
	if c := h.Get("Set-Cookie"); !regexp.MustCompile(`^gf=[\w-]{43}; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax$`).MatchString(c) {
		t.Errorf("cookie is %q", c)
	}
	b.page("/repos", "Alice Tester")
	if status, _, h := b.post("/logout"); status != http.StatusSeeOther || h.Get("Location") != "/login" {
		t.Errorf("log-out: %d", status)
	}
	if status, _, _ := b.get("/repos"); status != http.StatusSeeOther {
		t.Errorf("after the log-out: %d, want 303", status)
	}
}

// Five tries a minute for an account, ten for an address.
func TestLoginRate(t *testing.T) {
	w := newWorld(t)
	w.user("alice", ferry.LevelRead, false)
	b := w.browser()
	var got []int
	for range 6 {
		status, _, _ := b.post("/login", "name", "alice", "password", "wrong")
		got = append(got, status)
	}
	for range 5 {
		status, _, _ := b.post("/login", "name", "other", "password", "wrong")
		got = append(got, status)
	}
	for i, status := range got {
		want := http.StatusUnauthorized
		if i == 5 || i > 9 {
			want = http.StatusTooManyRequests
		}
		if status != want {
			t.Errorf("try %d: %d, want %d", i+1, status, want)
		}
	}
}

// Forms from elsewhere are refused, whatever cookie they carry.
func TestForgedForms(t *testing.T) {
	w := newWorld(t)
	w.user("alice", ferry.LevelRead, false)
	b := w.as("alice")
	token := regexp.MustCompile(`name="_token" value="([^"]+)"`).FindStringSubmatch(b.page("/settings"))[1]
	other := regexp.MustCompile(`name="_token" value="([^"]+)"`).FindStringSubmatch(w.as("alice").page("/settings"))[1]
	form := "do=theme&theme=dark"
	for _, c := range []struct {
		about  string
		header http.Header
		body   string
		want   int
	}{
		{"from our page", http.Header{"Sec-Fetch-Site": {"same-origin"}}, form, http.StatusSeeOther},
		{"typed by the user", http.Header{"Sec-Fetch-Site": {"none"}}, form, http.StatusSeeOther},
		{"from another site", http.Header{"Sec-Fetch-Site": {"cross-site"}}, form + "&_token=" + token, http.StatusForbidden},
		{"from a sibling", http.Header{"Sec-Fetch-Site": {"same-site"}}, form + "&_token=" + token, http.StatusForbidden},
		{"with another origin", http.Header{"Origin": {"https://evil.example"}}, form + "&_token=" + token, http.StatusForbidden},
		{"with the null origin", http.Header{"Origin": {"null"}}, form, http.StatusForbidden},
		{"with our origin", http.Header{"Origin": {w.url}}, form, http.StatusSeeOther},
		{"without a word, without the token", nil, form, http.StatusForbidden},
		{"without a word, with the token", nil, form + "&_token=" + token, http.StatusSeeOther},
		{"with the token of another session", nil, form + "&_token=" + other, http.StatusForbidden},
		{"with an overriding method", http.Header{"Sec-Fetch-Site": {"cross-site"}, "X-Http-Method-Override": {"GET"}}, form, http.StatusForbidden},
	} {
		h := c.header.Clone()
		if h == nil {
			h = make(http.Header)
		}
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		status, body, _ := b.do(http.MethodPost, "/settings", strings.NewReader(c.body), h)
		if status != c.want {
			t.Errorf("%s: %d, want %d\n%.200s", c.about, status, c.want, body)
		}
	}
	if status, _, _ := b.get("/settings?do=theme&theme=light"); status != http.StatusOK {
		t.Errorf("GET with the fields of a form: %d", status)
	}
	if !strings.Contains(b.page("/settings"), `data-theme="dark"`) {
		t.Error("a GET changed the theme")
	}
}

// Passwords do not travel in the clear, nor does a cookie work there.
func TestClearText(t *testing.T) {
	w := newWorld(t)
	w.user("alice", ferry.LevelRead, false)
	b := w.as("alice")
	w.server.TrustClearText = func(string) bool { return false }
	if status, _, _ := b.get("/repos"); status != http.StatusSeeOther {
		t.Errorf("a page over clear text: %d, want 303 to the log-in", status)
	}
	b.page("/login", "Open it over https")
	if status, _, _ := b.post("/login", "name", "alice", "password", testPassword); status != http.StatusForbidden {
		t.Errorf("log-in over clear text: %d, want 403", status)
	}
}

// A changed password, and a disabled user, end sessions at once.
func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	u := w.user("alice", ferry.LevelRead, false)
	one, two := w.as("alice"), w.as("alice")
	if status, body, _ := one.post("/settings", "do", "password", "current", "wrong", "password", "purple-monday-kettle"); status != http.StatusUnprocessableEntity || !strings.Contains(body, "present password is wrong") {
		t.Errorf("changing with a wrong password: %d", status)
	}
	if status, _, _ := one.post("/settings", "do", "password", "current", testPassword, "password", "purple-monday-kettle"); status != http.StatusSeeOther {
		t.Errorf("changing the password: %d", status)
	}
	one.page("/settings", "The password is changed")
	if status, _, _ := two.get("/settings"); status != http.StatusSeeOther {
		t.Errorf("the other session after the change: %d, want 303", status)
	}
	u.Disabled = true
	w.must(w.store.UpdateUser(t.Context(), u))
	if status, _, _ := one.get("/settings"); status != http.StatusSeeOther {
		t.Errorf("the session of a disabled user: %d, want 303", status)
	}
}

func TestSafeNext(t *testing.T) {
	for next, want := range map[string]string{
		"":                         "/",
		"/":                        "/",
		"/issues/DEMO-1?tab=x":     "/issues/DEMO-1?tab=x",
		"/a/b/tree/feature%2Fx":    "/a/b/tree/feature%2Fx",
		"//evil.example":           "/",
		"/\\evil.example":          "/",
		"/\t/evil.example":         "/",
		"/%09/evil.example":        "/",
		"/%2509/evil.example":      "/",
		"/%5cevil.example":         "/",
		"/%2f/evil.example":        "/",
		"https://evil.example":     "/",
		"javascript:alert(1)":      "/",
		"/x\r\nSet-Cookie: a=b":    "/",
		"/x%0d%0aSet-Cookie:%20a":  "/",
		"/login?next=/x":           "/",
		strings.Repeat("/x", 2000): "/",
	} {
		if got := safeNext(next); got != want {
			t.Errorf("safeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	if !w.server.passwordFits(testPassword, testHash) || w.server.passwordFits(testPassword+"x", testHash) || w.server.passwordFits("", nobody) {
		t.Error("passwords and hashes do not fit as they should")
	}
	for _, hash := range []string{"", "x", "$argon2id$v=19$m=1,t=1,p=1$AA$AA", "$argon2id$v=19$m=99999999,t=3,p=1$AAAA$AAAA", strings.Replace(testHash, "argon2id", "argon2i", 1)} {
		if w.server.passwordFits(testPassword, hash) {
			t.Errorf("the password fits %q", hash)
		}
	}
	for password, good := range map[string]bool{
		testPassword: true, "elf chars 9": false, "password1234": false, "Passw0rd!!!!!": false, "alice-alice-1": false, "aaaaaaaaaaaa": true,
		"123456789012": false, strings.Repeat("ä", 128): true, strings.Repeat("ä", 129): false, "qwertyqwerty12": false,
	} {
		if err := checkPassword(password, "alice"); (err == nil) != good {
			t.Errorf("checkPassword(%q): %v, want good %v", password, err, good)
		}
	}
}

// Every answer carries the headers that keep a page to itself.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	w.user("alice", ferry.LevelRead, false)
	for _, path := range []string{"/", "/login", "/repos", "/nothing/here/at/all", "/admin/users"} {
		_, body, h := w.as("alice").get(path)
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %q", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		for k, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"} {
			if h.Get(k) != want {
				t.Errorf("%s: %s is %q, want %q", path, k, h.Get(k), want)
			}
		}
		for _, asset := range regexp.MustCompile(`/static/[\w.]+`).FindAllString(body, -1) {
			status, _, h := w.browser().get(asset)
			if status != http.StatusOK || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %d, %v", asset, status, h)
			}
		}
	}
	w.server.PublicURL = "https://ferry.example"
	if _, _, h := w.browser().get("/login"); h.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security behind TLS")
	}
	if _, _, h := w.browser().post("/login", "name", "alice", "password", testPassword); !strings.HasPrefix(h.Get("Set-Cookie"), "__Host-gf=") || !strings.Contains(h.Get("Set-Cookie"), "; Secure") {
		t.Errorf("cookie behind TLS is %q", h.Get("Set-Cookie"))
	}
}
