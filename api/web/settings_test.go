package web

import (
	"net/http"
	"testing"

	"gitferry/internal/ferry"
)

// An own address counts once an administrator confirmed it, and not before.
func TestOwnAddresses(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history() // by Test Author
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	a, b := w.as("alice"), w.as("root")
	mine := func(want bool) {
		t.Helper()
		u, err := w.store.UserByEmail(t.Context(), "author@example.invalid")
		if (err == nil && u.Name == "alice") != want {
			t.Errorf("the address is alice's: %v, %v; want %v", u.Name, err, want)
		}
	}
	post := func(b *browser, want int, path string, fields ...string) {
		t.Helper()
		if status, body, _ := b.post(path, fields...); status != want {
			t.Errorf("%s %v: %d, want %d\n%.500s", path, fields, status, want, body)
		}
	}
	post(a, http.StatusUnprocessableEntity, "/settings", "do", "mail", "address", "nonsense")
	post(a, http.StatusSeeOther, "/settings", "do", "mail", "address", "author@example.invalid")
	a.page("/settings", "An administrator is asked to confirm", "WAITING", "author@example.invalid")
	mine(false)
	post(a, http.StatusForbidden, "/admin/users/2/do", "do", "confirm", "address", "author@example.invalid")
	b.page("/admin/users", "Addresses to confirm", "author@example.invalid")
	post(b, http.StatusSeeOther, "/admin/users/2/do", "do", "confirm", "address", "author@example.invalid")
	b.page("/admin/users", "belongs to alice now")
	mine(true)
	a.page("/settings", "CONFIRMED")
	a.page("/us-east-1/demo/commits", "Link commit") // own commits are hers to link
	post(a, http.StatusSeeOther, "/settings", "do", "mail", "address", "root@example.com")
	post(b, http.StatusSeeOther, "/admin/users/2/do", "do", "confirm", "address", "root@example.com")
	b.page("/admin/users", "is not confirmed")
	post(a, http.StatusSeeOther, "/settings", "do", "unask", "address", "root@example.com")
	post(a, http.StatusSeeOther, "/settings", "do", "unmail", "address", "author@example.invalid")
	mine(false)
	post(a, http.StatusNotFound, "/settings", "do", "unmail", "address", "alice@example.com")
	b.page("/admin/audit", "address.confirm", "address.ask", "address.remove")
}
