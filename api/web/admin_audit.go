package web

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/store"
)

type auditView struct {
	page
	Section               string
	Actor, Action, Object string
	Rows                  []store.AuditEvent
	Next                  string
	Export                string
}

func auditFilter(r *request) store.AuditFilter {
	before, _ := strconv.ParseInt(r.QueryParam("before"), 10, 64) // zero: from the newest
	return store.AuditFilter{Actor: r.form("actor"), Action: r.form("action"), Object: r.form("object"), Before: before}
}

// adminAudit shows who did what.
func (s *Server) adminAudit(r *request) error {
	v := auditView{page: s.page(r, "Audit", "admin"), Section: "audit", Actor: r.form("actor"), Action: r.form("action"), Object: r.form("object")}
	const size = 50
	f := auditFilter(r)
	f.Limit = size + 1
	var err error
	if v.Rows, err = s.Store.AuditEvents(r.ctx(), f); err != nil {
		return err
	}
	if len(v.Rows) > size {
		v.Rows = v.Rows[:size]
		v.Next = withQuery(r.Request().URL, "before", strconv.FormatInt(v.Rows[size-1].Seq, 10))
	}
	u := *r.Request().URL
	u.Path = "/admin/audit.csv"
	v.Export = withQuery(&u, "before", "")
	return s.render(r, http.StatusOK, "admin_audit", &v)
}

// maxExport bounds an export of the audit, in rows.
const maxExport = 100_000

// adminAuditCSV exports the audit, newest first.
func (s *Server) adminAuditCSV(r *request) error {
	f := auditFilter(r)
	f.Limit = 1000
	h := r.Response().Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="audit.csv"`)
	w := csv.NewWriter(r.Response())
	write := func(row ...string) {
		for i, c := range row { // a spreadsheet must not take text for a formula
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				row[i] = "'" + c
			}
		}
		_ = w.Write(row) // the reader may be gone
	}
	for n := 0; n < maxExport; {
		rows, err := s.Store.AuditEvents(r.ctx(), f)
		if err != nil {
			return err
		}
		if n == 0 {
			write("seq", "at", "actor", "credential", "address", "action", "object", "result", "reason", "detail")
		}
		for _, e := range rows {
			write(strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339), e.Actor, e.Credential, e.Address, e.Action, e.Object, e.Result, e.Reason, e.Detail)
		}
		if n += len(rows); len(rows) < f.Limit {
			break
		}
		f.Before = rows[len(rows)-1].Seq
	}
	w.Flush()
	return nil
}
