package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestLimitConns(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = limitConns(2)
	srv.Start()
	defer srv.Close()
	open := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	// answered reports whether a request on the connection gets an answer.
	answered := func(conn net.Conn) bool {
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		n, _ := conn.Read(make([]byte, 10))
		return n > 0
	}
	one, two := open(), open()
	if !answered(one) || !answered(two) {
		t.Error("two connections are not served")
	}
	three := open()
	defer three.Close()
	if answered(three) {
		t.Error("a third connection is served")
	}
	one.Close()
	two.Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn := open()
		ok := answered(conn)
		conn.Close()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no connection is served after the others were closed")
		}
	}
}
