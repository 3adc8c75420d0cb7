package api

import "gitferry/internal/doctor"

// consistency compares upstreams, mirrors, index and deliveries.
func (s *Server) consistency(c *call) (doctor.Report, error) {
	d := doctor.Doctor{Store: s.Store, Mirror: s.Mirror, Dialer: s.Dialer, Target: s.Discovery.Target}
	return d.Deep(c.ctx)
}
