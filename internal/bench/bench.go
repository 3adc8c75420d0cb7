// Package bench measures gitferry against plain git on the same machine in
// the same run, and writes the table that the README carries.
//
// The one idea is the pair: each thing is done by gitferry and by plain git in
// turn, and what counts is the median of the ratios, so that a slow machine or
// a busy minute falls out. Nothing is asserted: a timed test would fail on
// somebody's busy afternoon.
//
// The server is the real binary in a process of its own. The stand-in
// CodeCommit runs in the test process, and git http-backend behind a small CGI
// server in a third one, so that processor time can be told apart. make bench
// calls it; it holds tests only.
package bench
