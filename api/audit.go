package api

import (
	"strconv"

	"gitferry/internal/store"
)

func (s *Server) listAudit(c *call) (page[AuditEvent], error) {
	p := page[AuditEvent]{Items: []AuditEvent{}}
	limit, err := c.limit()
	if err != nil {
		return p, err
	}
	f := store.AuditFilter{Actor: c.value("actor"), Action: c.value("action"), Object: c.value("object"), Limit: limit + 1}
	if f.Before, err = c.after(); err != nil {
		return p, err
	}
	events, err := s.Store.AuditEvents(c.ctx, f)
	if err != nil {
		return p, err
	}
	for _, e := range events[:min(limit, len(events))] {
		p.Items = append(p.Items, AuditEventOf(e))
	}
	if len(events) > limit {
		p.Next = strconv.FormatInt(events[limit-1].Seq, 10)
	}
	return p, nil
}

// auditProof says how many rows of the audit were found sound.
type auditProof struct {
	Rows int64 `json:"rows"`
}

func (s *Server) verifyAudit(c *call) (auditProof, error) {
	n, err := s.Store.VerifyAudit(c.ctx)
	return auditProof{n}, err
}
