package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/idna"

	"gitferry/internal/ferry"
)

// reserved lists the addresses that are dialled only for targets marked as
// lying in a private network (IANA special-purpose address registries).
var reserved = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // RFC 1918
	"100.64.0.0/10",   // carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, instance metadata
	"172.16.0.0/12",   // RFC 1918
	"192.0.0.0/24",    // IETF protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // RFC 1918
	"198.18.0.0/15",   // benchmarking
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"::/96",           // unspecified, loopback, IPv4-compatible
	"64:ff9b::/96",    // NAT64
	"64:ff9b:1::/48",  // local NAT64
	"100::/64",        // discard
	"2001::/32",       // Teredo
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"fc00::/7",        // unique local
	"fe80::/10",       // link-local
	"fec0::/10",       // site-local
	"ff00::/8",        // multicast
)

// metadata lists the addresses of cloud instance metadata, which are never
// dialled: what answers there hands out credentials.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("fd00:ec2::254"),
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// errGuard marks a dial refused by the address guard.
var errGuard = errors.New("address not allowed")

// checkAddr says whether a may be dialled. private allows everything but the
// metadata addresses.
func checkAddr(a netip.Addr, private bool) error {
	if a.Zone() != "" {
		return fmt.Errorf("%s has a zone: %w", a, errGuard)
	}
	a = a.Unmap()
	for _, m := range metadata {
		if a == m || embedded(a) == m {
			return fmt.Errorf("%s is an instance metadata address: %w", a, errGuard)
		}
	}
	if private {
		return nil
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return fmt.Errorf("%s lies in the private or reserved range %s: %w", a, p, errGuard)
		}
	}
	return nil
}

// embedded returns the IPv4 address that a NAT64, 6to4 or IPv4-compatible
// address leads to, or the zero Addr.
func embedded(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return netip.Addr{}
	}
	b := a.As16()
	switch {
	case reservedNAT64.Contains(a), reservedCompatible.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case reserved6to4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return netip.Addr{}
}

var (
	reservedNAT64      = netip.MustParsePrefix("64:ff9b::/96")
	reservedCompatible = netip.MustParsePrefix("::/96")
	reserved6to4       = netip.MustParsePrefix("2002::/16")
)

// checkHost accepts a host name in its ASCII form or an address in its one
// usual spelling. Spellings that libraries read differently are refused:
// octal, hexadecimal and single-number addresses, trailing dots, zone IDs,
// names outside ASCII.
func checkHost(host string) error {
	bad := func(why string) error {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("host %.80q: %s", host, why)}
	}
	if host == "" {
		return bad("a host is needed")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		switch {
		case a.Zone() != "":
			return bad("zone IDs are not accepted")
		case a.String() != host:
			return bad("write the address as " + a.String())
		}
		return nil
	}
	if strings.HasSuffix(host, ".") {
		return bad("remove the dot at the end")
	}
	ascii, err := hostName.ToASCII(host)
	switch {
	case err != nil:
		return bad("not a host name")
	case ascii != host:
		return bad(fmt.Sprintf("write the name in its ASCII form, %.80q", ascii))
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last[0] >= '0' && last[0] <= '9' && strings.Trim(strings.TrimPrefix(last, "0x"), "0123456789abcdef") == "" {
		// "2130706433", "0177.0.0.1", "0x7f.1": some libraries dial these.
		return bad("an address must be four decimal numbers without leading zeros")
	}
	return nil
}

var hostName = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// isLoopbackHost reports whether host can only mean this machine.
func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// dial connects to address ("host:port"). The name is resolved once, every
// address it has is checked, and the checked addresses are dialled, so that a
// second answer of the name server cannot lead elsewhere.
func (d *Dialer) dial(ctx context.Context, address string, private bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := checkHost(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.connectTimeout())
	defer cancel()
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else {
		lookup := d.lookup
		if lookup == nil {
			lookup = net.DefaultResolver.LookupNetIP
		}
		if addrs, err = lookup(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	for _, a := range addrs {
		if err := checkAddr(a, private); err != nil {
			return nil, &ferry.Message{
				Kind: ferry.ErrDenied,
				Text: fmt.Sprintf("not connecting to %s: its address %s; an administrator can allow private networks for this integration",
					host, strings.TrimSuffix(err.Error(), ": "+errGuard.Error())),
				Cause: err,
			}
		}
	}
	// Control sees what is really dialled: a second lock on the same door.
	nd := net.Dialer{
		KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return checkAddr(ap.Addr(), private)
		},
	}
	err = errors.New("no address")
	for _, a := range addrs {
		var conn net.Conn
		conn, err = nd.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}
