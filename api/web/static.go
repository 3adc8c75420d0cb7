package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed static/*
var staticFiles embed.FS

// An asset is one of our two files, as it is and compressed.
type asset struct {
	contentType string
	plain, gzip []byte
}

// loadAssets reads the stylesheet and the script and gives them names that
// hold their hash, so that browsers may keep them for good.
func (s *Server) loadAssets() {
	s.static, s.assets = make(map[string]asset), make(map[string]string)
	for name, contentType := range map[string]string{"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		b, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			panic(err) // embedded above
		}
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // fails for a level that does not exist only
		_, _ = w.Write(b)                                     // a buffer takes everything
		_ = w.Close()
		ext := path.Ext(name)
		hashed := fmt.Sprintf("%s.%.8x%s", strings.TrimSuffix(name, ext), sha256.Sum256(b), ext)
		s.static[hashed] = asset{contentType, b, z.Bytes()}
		s.assets[name] = "/static/" + hashed
	}
}

// serveStatic answers with one of our files.
func (s *Server) serveStatic(c echo.Context) error {
	a, ok := s.static[c.Param("name")]
	if !ok {
		return echo.ErrNotFound
	}
	h := c.Response().Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.gzip
	}
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(body)
	return gone(err)
}
