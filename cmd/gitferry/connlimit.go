package main

import (
	"net"
	"net/http"
	"sync/atomic"
)

// maxHTTPConns is how many HTTP connections are open at once (security
// reference, part 19).
const maxHTTPConns = 1000

// limitConns returns a hook for http.Server.ConnState that closes connections
// beyond max at once.
func limitConns(max int64) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > max {
				c.Close() // the server sees it and reports StateClosed
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}
