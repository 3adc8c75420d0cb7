package proxy

import (
	"net/http"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/mirror"
)

// bundlePath is the directory of bundles below a repository's path.
const bundlePath = "bundles/"

// splitBundlePath splits an escaped URL path into the repository's part and
// "bundles/NAME".
func splitBundlePath(p string) (repo, rest string, ok bool) {
	i := strings.LastIndex(p, "/"+bundlePath)
	if i < 0 || !mirror.IsBundle(p[i+1+len(bundlePath):]) {
		return "", "", false
	}
	return p[:i], p[i+1:], true
}

// withBundle adds the capability bundle-uri to the capability advertisement of
// protocol 2, where git itself shows it: at the end (serve.c).
func withBundle(advertisement []byte) []byte {
	body, ok := strings.CutSuffix(string(advertisement), "0000")
	if !ok {
		return advertisement
	}
	return []byte(body + "000fbundle-uri\n0000")
}

// bundleURI answers the command bundle-uri of protocol 2 (gitprotocol-v2,
// "bundle-uri"): a list of one bundle, at an address below the one that the
// client talks to, so that its credentials are good for both.
func bundleURI(w *pktline.Writer, name string) error {
	if name != "" {
		id := strings.TrimSuffix(name, ".bundle")
		for _, line := range []string{"bundle.version=1", "bundle.mode=all", "bundle." + id + ".uri=" + bundlePath + name} {
			if err := w.Printf("%s", line); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// bundle sends a bundle, or the part of it that the client asks for.
func (h *httpGit) bundle(subject ferry.Subject, name string) error {
	repo, err := h.lookUp(subject, ferry.ActionFetch)
	if err != nil {
		return err
	}
	f, err := h.s.Mirror.OpenBundle(h.r.Context(), repo, name)
	if err != nil {
		return err
	}
	defer f.Close()
	header := h.w.Header()
	header.Set("Content-Type", "application/x-git-bundle")
	header.Set("Cache-Control", "private, max-age=604800, immutable")
	header.Set("ETag", `"`+name+`"`)
	http.ServeContent(&steadyWriter{h.w, h.s.stallWindow()}, h.r, "", time.Time{}, f)
	return nil
}

// steadyWriter gives each piece of an answer its time.
type steadyWriter struct {
	http.ResponseWriter
	window time.Duration
}

func (s *steadyWriter) Write(p []byte) (int, error) {
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(s.window))
	return s.ResponseWriter.Write(p)
}
