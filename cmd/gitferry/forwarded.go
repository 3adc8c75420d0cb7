package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// asSent returns a request that came through a trusted proxy as its client
// sent it: from the client's address, over TLS unless the proxy says that it
// was not. Any other request is returned as it is: a header of a peer that is
// not trusted names nobody (security reference, HTTP-9).
//
// The client is the right-most address of X-Forwarded-For that is not itself
// a trusted proxy's; what stands left of it the client may have made up.
func asSent(r *http.Request, trusted []string) *http.Request {
	if r.TLS != nil || !trustedProxy(trusted, r.RemoteAddr) {
		return r
	}
	sent := r.WithContext(r.Context())
	if !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http") {
		sent.TLS = &tls.ConnectionState{}
	}
	chain := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(chain) - 1; i >= 0; i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break // the rest cannot be told
		}
		addr := net.JoinHostPort(ip.Unmap().String(), "0")
		sent.RemoteAddr = addr
		if !trustedProxy(trusted, addr) {
			break
		}
	}
	return sent
}
