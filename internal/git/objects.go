package git

import (
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pjbgf/sha1cd"

	"gitferry/internal/ferry"
)

// ObjectID returns the name of an object of the given type ("commit", "tag").
// It fails with ferry.ErrInvalid on content that was made to collide, as git
// does.
func ObjectID(kind string, content []byte) (ferry.OID, error) {
	h := sha1cd.New().(sha1cd.CollisionResistantHash)
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	sum, collision := h.CollisionResistantSum(nil)
	if collision {
		return ferry.OID{}, fmt.Errorf("a %s whose SHA-1 was made to collide: %w", kind, ferry.ErrInvalid)
	}
	return ferry.OID(sum), nil
}

// StoreObject writes a loose object into the object directory objects, not
// durably: it is for a quarantine that git is to read at once and that is
// thrown away.
func StoreObject(objects, kind string, oid ferry.OID, content []byte) error {
	name := oid.String()
	path := filepath.Join(objects, name[:2], name[2:])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	defer f.Close()
	z, err := zlib.NewWriterLevel(f, zlib.BestSpeed)
	if err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	fmt.Fprintf(z, "%s %d\x00", kind, len(content))
	if _, err := z.Write(content); err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	return nil
}
