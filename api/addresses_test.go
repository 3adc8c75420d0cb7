package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An address that a person asks for counts once an administrator confirmed it,
// and goes when the person says so.
func TestAddresses(t *testing.T) {
	w := newWorld(t)
	var own ownAddresses
	w.want(202, "write", "POST", "/user/addresses", map[string]string{"email": "will@work.example"}, &own)
	if len(own.Asked) != 1 || own.Asked[0].Email != "will@work.example" || len(own.Aliases) != 0 {
		t.Errorf("after asking: %+v", own)
	}
	w.want(422, "write", "POST", "/user/addresses", map[string]string{"email": "no address"}, nil)
	var waiting page[addressRequest]
	w.want(200, "admin", "GET", "/address-requests", nil, &waiting)
	if len(waiting.Items) != 1 || waiting.Items[0].User != "will" {
		t.Errorf("waiting: %+v", waiting)
	}
	w.want(403, "write", "PUT", "/users/will/addresses/will@work.example", nil, nil)
	w.want(204, "admin", "PUT", "/users/will/addresses/will@work.example", nil, nil)
	w.want(404, "admin", "DELETE", "/users/will/addresses/will@work.example", nil, nil)
	w.want(200, "write", "GET", "/user/addresses", nil, &own)
	if diff := cmp.Diff([]string{"will@work.example"}, own.Aliases); diff != "" || len(own.Asked) != 0 {
		t.Errorf("after confirming: %+v", own)
	}
	w.want(200, "write", "DELETE", "/user/addresses/WILL@work.example", nil, &own)
	if len(own.Aliases) != 0 {
		t.Errorf("after removing: %+v", own)
	}
}
