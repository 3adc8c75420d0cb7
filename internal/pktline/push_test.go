package pktline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestReadCommands(t *testing.T) {
	a, b := oid(t, oidA), oid(t, oidB)
	command := func(name string) string { return zero + " " + oidA + " " + name }
	for _, tt := range []struct {
		name string
		in   string
		want Commands
	}{
		{"probe", "0000", Commands{}},
		{"create with capabilities", lines(command("refs/heads/x")+"\x00 report-status side-band-64k agent=git/2", "0000"),
			Commands{Updates: []ferry.RefUpdate{{Name: "refs/heads/x", New: a}}, Capabilities: Capabilities{"report-status", "side-band-64k", "agent=git/2"}}},
		{"boundaries in a name", lines(command("refs/heads/PACK0000")+"\x00PACK 0000\n", oidA+" "+oidB+" refs/heads/0000PACK\n", "0000"),
			Commands{Updates: []ferry.RefUpdate{{Name: "refs/heads/PACK0000", New: a}, {Name: "refs/heads/0000PACK", Old: a, New: b}}, Capabilities: Capabilities{"PACK", "0000"}}},
		{"shallow", lines("shallow "+oidB, oidA+" "+zero+" refs/tags/t", "0000"),
			Commands{Updates: []ferry.RefUpdate{{Name: "refs/tags/t", Old: a}}, Shallow: []ferry.OID{b}}},
		{"push options", lines(command("refs/heads/x")+"\x00push-options", "0000", "quiet", "smart-commits=off\n", "", "0000"),
			Commands{Updates: []ferry.RefUpdate{{Name: "refs/heads/x", New: a}}, Capabilities: Capabilities{"push-options"}, PushOptions: []string{"quiet", "smart-commits=off", ""}}},
	} {
		r := NewReader(strings.NewReader(tt.in + "PACK"))
		got, err := ReadCommands(r, 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if rest, _ := io.ReadAll(r.Rest()); string(rest) != "PACK" {
			t.Errorf("%s: rest %q", tt.name, rest)
		}
	}
}

func TestReadCommandsErrors(t *testing.T) {
	good := zero + " " + oidA + " refs/heads/x"
	for _, tt := range []struct {
		name string
		in   string
		want error
	}{
		{"left at once", "", io.EOF},
		{"left after a command", lines(good), io.ErrUnexpectedEOF},
		{"left in a command", lines(good)[:20], io.ErrUnexpectedEOF},
		{"left before the options", lines(good+"\x00push-options", "0000"), io.ErrUnexpectedEOF},
		{"delim", lines(good, "0001"), ferry.ErrInvalid},
		{"bad length", "0003", ferry.ErrInvalid},
		{"two commands for one ref", lines(good, good, "0000"), ferry.ErrInvalid},
		{"capabilities later", lines(good, good+"y\x00report-status", "0000"), ferry.ErrInvalid},
		{"certificate", lines("push-cert\x00report-status", "certificate version 0.1\n", "0000"), ferry.ErrInvalid},
		{"name with a space", lines(good+" y", "0000"), ferry.ErrInvalid},
		{"name outside refs", lines(zero+" "+oidA+" main", "0000"), ferry.ErrInvalid},
		{"name with ..", lines(good+"/../y", "0000"), ferry.ErrInvalid},
		{"line end in a name", lines(good+"\n\n", "0000"), ferry.ErrInvalid},
		{"SHA-256", lines(zero+zero[:24]+" "+oidA+oidA[:24]+" refs/heads/x", "0000"), ferry.ErrInvalid},
		{"short", lines("x", "0000"), ferry.ErrInvalid},
		{"empty line", lines("", "0000"), ferry.ErrInvalid},
		{"bad shallow", lines("shallow x", "0000"), ferry.ErrInvalid},
		{"NUL in an option", lines(good+"\x00push-options", "0000", "a\x00b", "0000"), ferry.ErrInvalid},
	} {
		if _, err := ReadCommands(NewReader(strings.NewReader(tt.in)), 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestCommandLimits: 4,000 commands and 1,000 options pass, one more does not.
func TestCommandLimits(t *testing.T) {
	for _, tt := range []struct {
		commands, options int
		ok                bool
	}{
		{MaxCommands, MaxPushOptions, true},
		{MaxCommands + 1, 0, false},
		{1, MaxPushOptions + 1, false},
	} {
		c := Commands{Capabilities: Capabilities{"push-options"}, PushOptions: make([]string, tt.options)}
		for i := range tt.commands {
			c.Updates = append(c.Updates, ferry.RefUpdate{Name: ferry.RefName(fmt.Sprintf("refs/heads/b%d", i)), New: ferry.OID{1}})
		}
		var b bytes.Buffer
		if err := WriteCommands(NewWriter(&b), &c); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCommands(NewReader(&b), 0)
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%d commands, %d options: %v", tt.commands, tt.options, err)
		}
		if tt.ok {
			if diff := cmp.Diff(&c, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	big := Commands{Updates: []ferry.RefUpdate{{Name: "refs/heads/x"}}, Capabilities: Capabilities{"push-options"},
		PushOptions: []string{strings.Repeat("x", 40<<10), strings.Repeat("y", 40<<10)}}
	var b bytes.Buffer
	WriteCommands(NewWriter(&b), &big)
	if _, err := ReadCommands(NewReader(&b), 0); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("options of 80 KiB: %v", err)
	}
}

func TestDeletesOnly(t *testing.T) {
	del, mk := ferry.RefUpdate{Name: "refs/heads/a", Old: ferry.OID{1}}, ferry.RefUpdate{Name: "refs/heads/b", New: ferry.OID{1}}
	for _, tt := range []struct {
		updates []ferry.RefUpdate
		want    bool
	}{{[]ferry.RefUpdate{del}, true}, {[]ferry.RefUpdate{del, mk}, false}, {[]ferry.RefUpdate{mk}, false}} {
		if got := (&Commands{Updates: tt.updates}).DeletesOnly(); got != tt.want {
			t.Errorf("DeletesOnly(%v) = %t", tt.updates, got)
		}
	}
}

// TestReceivePackUnderstandsUs sends commands of ours and an empty pack to
// the real git and reads its report, plain and in a side band.
func TestReceivePackUnderstandsUs(t *testing.T) {
	dir := history(t)
	bare := filepath.Join(t.TempDir(), "bare.git")
	mustGit(t, dir, "", "clone", "-q", "--bare", ".", bare)
	mustGit(t, bare, "", "config", "receive.advertisePushOptions", "true")
	tip := oid(t, strings.TrimSpace(mustGit(t, bare, "", "rev-parse", "main")))
	pack := mustGit(t, dir, "", "pack-objects", "--stdout", "-q")
	for i, caps := range []Capabilities{{"report-status"}, {"report-status-v2", "side-band-64k", "push-options"}} {
		good := ferry.RefName(fmt.Sprintf("refs/heads/new%d", i))
		c := Commands{Capabilities: caps, PushOptions: []string{"quiet"}, Updates: []ferry.RefUpdate{
			{Name: good, New: tip},
			{Name: "refs/heads/PACK", Old: ferry.OID{1}, New: tip},
		}}
		var b bytes.Buffer
		if err := WriteCommands(NewWriter(&b), &c); err != nil {
			t.Fatal(err)
		}
		out, err := git(t, bare, b.String()+pack, "receive-pack", "--stateless-rpc", ".")
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(strings.NewReader(out))
		if caps.Has("side-band-64k") {
			r = NewReader(NewDemux(r, nil))
		}
		report, err := ReadReport(r)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if report.Unpack != "ok" || len(report.Refs) != 2 || !report.Refs[0].OK || report.Refs[0].Name != good || report.Refs[1].OK || report.Refs[1].Reason == "" {
			t.Errorf("report %+v", report)
		}
	}
}

// TestAgreesWithReceivePack: what our parser refuses in framing, git refuses,
// except for what our comments say is stricter.
func TestAgreesWithReceivePack(t *testing.T) {
	bare := filepath.Join(t.TempDir(), "bare.git")
	mustGit(t, ".", "", "init", "-q", "--bare", bare)
	for _, in := range []string{"0003", "fff1", "00zz", lines("x", "0000"), lines("0001")[:2], lines(zero + " " + oidA + " refs/heads/x")[:30]} {
		_, ours := ReadCommands(NewReader(strings.NewReader(in)), 0)
		if _, err := git(t, bare, in, "receive-pack", "--stateless-rpc", "."); err == nil || ours == nil {
			t.Errorf("%q: git %v, ours %v", in, err, ours)
		}
	}
	for _, in := range []string{"0000", strings.Repeat("0000", 100)} {
		_, ours := ReadCommands(NewReader(strings.NewReader(in)), 0)
		if _, err := git(t, bare, in, "receive-pack", "--stateless-rpc", "."); err != nil || ours != nil {
			t.Errorf("%q: git %v, ours %v", in, err, ours)
		}
	}
}

func TestReport(t *testing.T) {
	in := lines("unpack ok\n", "ok refs/heads/a\n", "option refname refs/heads/b\n", "option forced-update\n", "ng refs/heads/c not a fast forward\n", "ng refs/heads/d\n", "0000")
	want := &Report{Unpack: "ok", Refs: []RefStatus{{Name: "refs/heads/a", OK: true}, {Name: "refs/heads/c", Reason: "not a fast forward"}, {Name: "refs/heads/d"}}}
	got, err := ReadReport(NewReader(strings.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		in   string
		want error
	}{
		{"", io.ErrUnexpectedEOF},
		{lines("unpack ok\n"), io.ErrUnexpectedEOF},
		{"0000", ferry.ErrInvalid},
		{lines("ok refs/heads/a\n", "0000"), ferry.ErrInvalid},
		{lines("unpack \n", "0000"), ferry.ErrInvalid},
		{lines("unpack ok\n", "ok main\n", "0000"), ferry.ErrInvalid},
		{lines("unpack ok\n", "option x\n", "0000"), ferry.ErrInvalid},
		{lines("unpack ok\n", "maybe refs/heads/a\n", "0000"), ferry.ErrInvalid},
		{lines("unpack ok\n") + strings.Repeat(lines("ok refs/heads/a\n"), maxReportLines+1), ferry.ErrInvalid},
	} {
		if _, err := ReadReport(NewReader(strings.NewReader(tt.in))); !errors.Is(err, tt.want) {
			t.Errorf("%.40q: %v, want %v", tt.in, err, tt.want)
		}
	}
	_, err = ReadReport(NewReader(strings.NewReader(lines("ERR gone\n"))))
	if remote, ok := errors.AsType[*RemoteError](err); !ok || remote.Text != "gone" {
		t.Errorf("ERR packet: %v", err)
	}
}

// TestReportIsOneLineEach: a reason cannot add lines or escapes.
func TestReportIsOneLineEach(t *testing.T) {
	var b bytes.Buffer
	err := WriteReport(NewWriter(&b), &Report{Refs: []RefStatus{
		{Name: "refs/heads/a", Reason: "no\nok refs/heads/a\x1b[1m"}, {Name: "refs/heads/b"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := lines("unpack ok\n", "ng refs/heads/a no ok refs/heads/a[1m\n", "ng refs/heads/b failed\n", "0000")
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	for _, text := range []string{"\x01", " ", "ok\x01", "ok "} {
		b.Reset()
		if err := WriteReport(NewWriter(&b), &Report{Unpack: text}); err != nil || b.String() != lines("unpack failed\n", "0000") {
			t.Errorf("unpack %q: wrote %q, %v", text, b.String(), err)
		}
	}
	b.Reset()
	if err := WriteError(NewWriter(&b), "not\nhere"); err != nil || b.String() != lines("ERR not here\n") {
		t.Errorf("WriteError wrote %q, %v", b.String(), err)
	}
}

// traffic records what the real git push sends, through a receive-pack
// wrapped in tee.
func traffic(t testing.TB) (client, server []byte) {
	t.Helper()
	dir, tmp := history(t), t.TempDir()
	bare := filepath.Join(tmp, "bare.git")
	mustGit(t, dir, "", "init", "-q", "--bare", bare)
	mustGit(t, bare, "", "config", "receive.advertisePushOptions", "true")
	script := filepath.Join(tmp, "receive-pack")
	text := fmt.Sprintf("#!/bin/sh\ntee %s/in | git receive-pack \"$1\" | tee %s/out\n", tmp, tmp)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	mustGit(t, dir, "", "push", "-q", "-o", "quiet", "--receive-pack="+script, bare, "main", "PACK", "0000", "v1")
	client, err := os.ReadFile(filepath.Join(tmp, "in"))
	if err != nil {
		t.Fatal(err)
	}
	server, err = os.ReadFile(filepath.Join(tmp, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// TestPushOfGit reads a whole push of the real git, both directions.
func TestPushOfGit(t *testing.T) {
	client, server := traffic(t)
	r := NewReader(bytes.NewReader(client))
	c, err := ReadCommands(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Updates) != 4 || !c.Capabilities.Has("side-band-64k") || cmp.Diff([]string{"quiet"}, c.PushOptions) != "" {
		t.Errorf("commands %+v", c)
	}
	if pack, _ := io.ReadAll(r.Rest()); !bytes.HasPrefix(pack, []byte("PACK")) {
		t.Errorf("pack begins %.20q", pack)
	}
	r = NewReader(bytes.NewReader(server))
	if _, err := ReadAdvertisement(r, Limits{}); err != nil {
		t.Fatal(err)
	}
	report, err := ReadReport(NewReader(NewDemux(r, nil)))
	if err != nil || report.Unpack != "ok" || len(report.Refs) != 4 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func FuzzCommands(f *testing.F) {
	client, _ := traffic(f)
	f.Add(client)
	f.Add([]byte(lines("shallow "+oidA, zero+" "+oidA+" refs/heads/PACK\x00push-options", "0000", "quiet", "0000")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		c, err := ReadCommands(r, 0)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r.Rest())
		if !bytes.HasSuffix(in, rest) {
			t.Fatalf("the rest %q is not the end of %q", rest, in)
		}
		var b bytes.Buffer
		if err := WriteCommands(NewWriter(&b), c); err != nil {
			return // a packet became too long by our space
		}
		again, err := ReadCommands(NewReader(&b), 0)
		if err != nil {
			t.Fatalf("reading %+v again: %v", c, err)
		}
		if len(c.Updates) == 0 {
			return // capabilities travel on the first command
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("round trip:\n%s", diff)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(lines("unpack ok\n", "ok refs/heads/a\n", "option refname refs/heads/b\n", "ng refs/heads/c no\n", "0000")))
	f.Add([]byte(lines("unpack index-pack abnormal exit\n", "ng refs/heads/c unpacker error\n", "0000")))
	f.Fuzz(func(t *testing.T, in []byte) {
		report, err := ReadReport(NewReader(bytes.NewReader(in)))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := WriteReport(NewWriter(&first), report); err != nil {
			t.Fatal(err)
		}
		again, err := ReadReport(NewReader(bytes.NewReader(first.Bytes())))
		if err != nil {
			t.Fatalf("reading %q again: %v", first.Bytes(), err)
		}
		// Texts are sanitized once; then nothing changes.
		WriteReport(NewWriter(&second), again)
		if !bytes.Equal(first.Bytes(), second.Bytes()) || len(again.Refs) != len(report.Refs) {
			t.Fatalf("wrote %q, then %q", first.Bytes(), second.Bytes())
		}
		for i := range again.Refs {
			if again.Refs[i].Name != report.Refs[i].Name || again.Refs[i].OK != report.Refs[i].OK {
				t.Fatalf("status %d: %+v, then %+v", i, report.Refs[i], again.Refs[i])
			}
		}
	})
}
