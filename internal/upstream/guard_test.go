package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

func TestHostForms(t *testing.T) {
	for host, want := range map[string]bool{
		"git-codecommit.us-east-1.amazonaws.com": true,
		"example.com":                            true,
		"localhost":                              true,
		"127.0.0.1":                              true,
		"::1":                                    true,
		"2001:db8::1":                            true,
		"xn--bcher-kva.example":                  true,
		"4chan.example":                          true,
		"host1.de4d":                             true,
		"":                                       false,
		"0177.0.0.1":                             false,
		"2130706433":                             false,
		"0x7f.1":                                 false,
		"0x7f000001":                             false,
		"127.1":                                  false,
		"127.0.0.1.":                             false,
		"example.com.":                           false,
		"fe80::1%eth0":                           false,
		"0:0:0:0:0:0:0:1":                        false,
		"::ffff:0:7f00:1%1":                      false,
		"bücher.example":                         false,
		"ⓔxample.com":                            false,
		"xn--a.example":                          false,
		"ex ample.com":                           false,
		"example.com/x":                          false,
		"a..b":                                   false,
		"１２７.0.0.1":                              false,
	} {
		err := checkHost(host)
		if (err == nil) != want {
			t.Errorf("checkHost(%q) = %v, want accepted %t", host, err, want)
		}
		if err != nil && !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("checkHost(%q) = %v, want ferry.ErrInvalid", host, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		addr            string
		public, private bool
	}{
		{"52.94.5.1", true, true},
		{"2600:1f18::1", true, true},
		{"127.0.0.1", false, true},
		{"10.1.2.3", false, true},
		{"172.31.0.1", false, true},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, true},
		{"100.64.0.1", false, true},
		{"169.254.1.1", false, true},
		{"0.0.0.0", false, true},
		{"192.0.0.8", false, true},
		{"198.19.0.1", false, true},
		{"224.0.0.1", false, true},
		{"255.255.255.255", false, true},
		{"192.0.2.1", false, true},
		{"203.0.113.9", false, true},
		{"::1", false, true},
		{"::", false, true},
		{"::7f00:1", false, true},
		{"::ffff:127.0.0.1", false, true},
		{"::ffff:10.0.0.1", false, true},
		{"64:ff9b::a00:1", false, true},
		{"64:ff9b:1::1", false, true},
		{"2002:7f00:1::", false, true},
		{"2001:0:4136:e378::1", false, true},
		{"2001:db8::1", false, true},
		{"fe80::1", false, true},
		{"fd12::1", false, true},
		{"ff02::1", false, true},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", false, false},
		{"2002:a9fe:a9fe::", false, false},
		{"fd00:ec2::254", false, false},
		{"fe80::1%eth0", false, false},
	} {
		a := netip.MustParseAddr(c.addr)
		if err := checkAddr(a, false); (err == nil) != c.public {
			t.Errorf("checkAddr(%s, public) = %v, want allowed %t", c.addr, err, c.public)
		}
		if err := checkAddr(a, true); (err == nil) != c.private {
			t.Errorf("checkAddr(%s, private) = %v, want allowed %t", c.addr, err, c.private)
		}
	}
}

func TestDialChecksEveryAddressAndResolvesOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	d := testDialer(t)
	lookups := 0
	d.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		lookups++
		return []netip.Addr{netip.MustParseAddr("52.94.5.1"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	_, err = d.dial(t.Context(), net.JoinHostPort("git.example.com", port), false)
	if !errors.Is(err, ferry.ErrDenied) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("dial of a name with a loopback address = %v, want ferry.ErrDenied that names the address", err)
	}
	d.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		lookups++
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	conn, err := d.dial(t.Context(), net.JoinHostPort("git.example.com", port), true)
	if err != nil {
		t.Fatalf("dial in a private network: %v", err)
	}
	conn.Close()
	if lookups != 2 {
		t.Errorf("%d lookups for two dials", lookups)
	}
	_, err = d.Look(t.Context(), Target{URL: "https://127.0.0.1:" + port + "/r"})
	if !errors.Is(err, ferry.ErrDenied) {
		t.Errorf("Look at loopback without PrivateNetwork = %v, want ferry.ErrDenied", err)
	}
}

func TestURLs(t *testing.T) {
	for _, c := range []struct {
		url     string
		private bool
		want    string // base URL, or part of the refusal after "!"
	}{
		{"https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo", false, "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo"},
		{"https://git-codecommit-fips.us-gov-west-1.amazonaws.com/v1/repos/a.b_c-d", false, "https://git-codecommit-fips.us-gov-west-1.amazonaws.com/v1/repos/a.b_c-d"},
		{"https://GitHub.com/o/r.git", false, "https://github.com/o/r.git"},
		{"https://example.com:8443/a%20b", false, "https://example.com:8443/a%20b"},
		{"ssh://APKA1@git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo", false, "ssh://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo"},
		{"git@example.com:o/r.git", false, "ssh://example.com/o/r.git"},
		{"git@example.com:/o/r.git", false, "ssh://example.com/o/r.git"},
		{"http://127.0.0.1:7081/v1/repos/demo", true, "http://127.0.0.1:7081/v1/repos/demo"},
		{"http://127.0.0.1:7081/v1/repos/demo", false, "!not encrypted"},
		{"http://example.com/r", true, "!not encrypted"},
		{"http://192.168.0.1/r", true, "!not encrypted"},
		{"git://example.com/r", true, "!scheme"},
		{"file:///etc/passwd", true, "!host"},
		{"/etc/passwd", true, "!want https"},
		{"ext::sh -c id", true, "!blank"},
		{"ext::sh", true, "!want https"},
		{"--upload-pack=id", true, "!dash"},
		{"git@example.com:-oProxyCommand=id", true, "!dash"},
		{"ssh://-oProxyCommand=id/x", true, "!host"},
		{"ssh://-x@example.com/x", true, "!user name"},
		{"https://u:p@example.com/r", true, "!password"},
		{"https://example.com/r?x=1", true, "!'?'"},
		{"https://example.com/r#x", true, "!'?'"},
		{"https://example.com/", true, "!path"},
		{"https://example.com/a/../b", true, "!a part of the path"},
		{"ssh://example.com/a'b", true, "!character"},
		{"https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo.git", false, "!without .git"},
		{"https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo/", false, "!/v1/repos/NAME"},
		{"https://git-codecommit.us-east-1.amazonaws.com/other/demo", false, "!/v1/repos/NAME"},
	} {
		p, err := parseURL(c.url, c.private)
		if part, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), part) || !errors.Is(err, ferry.ErrInvalid) {
				t.Errorf("parseURL(%q, %t) = %v, want a refusal with %q", c.url, c.private, err, part)
			}
			continue
		}
		if err != nil || p.base() != c.want {
			t.Errorf("parseURL(%q, %t) = %q, %v, want %q", c.url, c.private, p.base(), err, c.want)
		}
	}
}

func TestCodeCommitRegion(t *testing.T) {
	for host, want := range map[string]string{
		"git-codecommit.us-east-1.amazonaws.com":                     "us-east-1",
		"git-codecommit-fips.ca-central-1.amazonaws.com":             "ca-central-1",
		"git-codecommit.cn-north-1.amazonaws.com.cn":                 "cn-north-1",
		"git-codecommit.us-iso-east-1.c2s.ic.gov":                    "us-iso-east-1",
		"vpce-0ab1-x.git-codecommit.eu-west-1.vpce.amazonaws.com":    "eu-west-1",
		"git-codecommit.us-east-1.amazonaws.com.evil.example":        "",
		"evil-git-codecommit.us-east-1.amazonaws.com":                "",
		"git-codecommit.us-east-1.amazonaws.com.cn.s3.amazonaws.com": "",
		"codecommit.us-east-1.amazonaws.com":                         "",
	} {
		if got := CodeCommitRegion(host); got != want {
			t.Errorf("CodeCommitRegion(%q) = %q, want %q", host, got, want)
		}
	}
}
