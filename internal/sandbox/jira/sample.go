package jira

import "fmt"

func sampleUsers() []User {
	return []User{
		{Name: serviceAccount, Display: "gitferry", Email: "gitferry@example.com"},
		{Name: "alice", Display: "Alice Adams", Email: "alice@example.com"},
		{Name: "bob", Display: "Bob Brown", Email: "bob@example.com"},
		{Name: "root", Display: "Robin Root", Email: "root@example.com"},
	}
}

func sampleProjects() []Project {
	return []Project{{Key: "DEMO", Name: "Demo", Issues: 20}, {Key: "OPS", Name: "Operations", Issues: 20}}
}

// sampleVersions are those of every project; ids are given when it is made.
var sampleVersions = []version{
	{name: "0.9", released: true, archived: true},
	{name: "1.0", released: true},
	{name: "1.1"},
}

var sampleSummaries = []string{
	"Sign-in fails when the password holds a colon",
	"Add paging to the list of orders",
	"Search does not find names with umlauts",
	"Show the time of the last import",
	"Export of reports stops after 1,000 rows",
	"Warn before a certificate runs out",
	"Move the nightly job to another host",
	"Tables cannot be sorted on small screens",
	"Speed up the start page",
	"Remove the old address form",
	"Replace the mail library",
	"Limit the size of uploads",
	"Wrong totals when a discount is zero",
	"Write down how to restore a backup",
	"Dark colours for the customer pages",
	"Two people can edit one invoice at once",
	"Rounding differs between page and PDF",
	"Retry deliveries that were refused for a short time",
	"Let administrators rename a customer",
	"Clean up what the last release left behind",
}

// sampleSummary returns a summary for the issue at index n of its project.
func sampleSummary(n int) string {
	s := sampleSummaries[n%len(sampleSummaries)]
	if round := n / len(sampleSummaries); round > 0 {
		s = fmt.Sprintf("%s (part %d)", s, round+1)
	}
	return s
}
