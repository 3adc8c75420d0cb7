package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestPaced: a client that drips its request, and one that does not take its
// answer, lose their connection; a handler that thinks for long, an answer
// that puts its end off, and the next request on a connection do not
// (security reference, HTTP-7).
func TestPaced(t *testing.T) {
	const read, write = 300 * time.Millisecond, 500 * time.Millisecond
	ended := make(chan error, 1)
	h := paced(read, write, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		case "/leave": // the body unread
		case "/think":
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(2 * read):
			case <-r.Context().Done():
				t.Error("the request ended while its handler was thinking")
			}
			fmt.Fprint(w, "done")
		case "/write":
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 64<<10))
			}
			ended <- err
		case "/stream":
			c := http.NewResponseController(w)
			for range 4 {
				_ = c.SetWriteDeadline(time.Now().Add(write))
				fmt.Fprintln(w, "on")
				_ = c.Flush()
				time.Sleep(write / 2)
			}
		}
	}))
	srv := httptest.NewServer(h)
	defer srv.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	for _, path := range []string{"/read", "/leave"} {
		conn := dial()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", path)
		go func() { // ends when the server closes
			for {
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(read / 10)
			}
		}()
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: a client that drips keeps its connection: %v", path, err)
		}
	}
	if err := <-ended; err == nil {
		t.Error("a body that drips was read to its end")
	}

	conn := dial()
	fmt.Fprint(conn, "GET /write HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer without end ended well")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a client that does not take its answer is written to for ever")
	}

	conn = dial()
	in := bufio.NewReader(conn)
	for range 2 {
		fmt.Fprint(conn, "POST /think HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "done" {
			t.Errorf("after thinking: %q, %v", body, err)
		}
	}
	time.Sleep(2 * write) // the deadline of the last answer passes
	fmt.Fprint(conn, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || strings.Count(string(body), "on") != 4 {
		t.Errorf("a stream that goes on: %q, %v", body, err)
	}
}
