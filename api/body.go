package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Bounds of a request body (security.md, API-7).
const (
	maxBody  = 1 << 20
	maxDepth = 32
	maxItems = 10_000
	bodyTime = 30 * time.Second
)

// decode reads the body of a request, and nothing but the body, into v. A
// member that v does not have is refused, as is anything behind the value.
func decode(c echo.Context, v any) error {
	r := c.Request()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the body as application/json")
	}
	slow := http.NewResponseController(c.Response())
	_ = slow.SetReadDeadline(time.Now().Add(bodyTime)) // a wrapped writer may not have it
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	_ = slow.SetReadDeadline(time.Time{}) // or the request would end with it
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB")
	}
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "the body could not be read to its end")
	}
	if fault := shapeFault(text); fault != "" {
		return echo.NewHTTPError(http.StatusBadRequest, fault)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "the body does not fit: "+err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return echo.NewHTTPError(http.StatusBadRequest, "there is something behind the JSON value")
	}
	return nil
}

// shapeFault bounds depth and size of lists before anything is built of them.
func shapeFault(text []byte) string {
	depth, items, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '[' || b == '{':
			if depth++; depth > maxDepth {
				return fmt.Sprintf("the body is nested deeper than %d levels", maxDepth)
			}
		case b == ']' || b == '}':
			depth--
		case b == ',':
			if items++; items > maxItems {
				return fmt.Sprintf("the body holds more than %d values", maxItems)
			}
		}
	}
	return ""
}
