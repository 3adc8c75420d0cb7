// Package e2e holds the end-to-end tests: the real binary as a process of its
// own, real git and ssh clients, and the stand-ins for CodeCommit and Jira in
// the test process, where their ledgers can be read after the server was
// killed. It holds tests only.
package e2e
