package main

import (
	"gitferry/api/ghapi"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/webhook"
)

// github wires the API in GitHub's shape and what belongs to it: the lists of
// files and the webhooks. sshHost is how developers reach the SSH door.
func (a *app) github(sshHost string) *ghapi.Server {
	a.lists = &filelist.Lists{Store: a.store, Git: a.git, Mirror: a.mirror, Log: a.log}
	a.webhooks = &webhook.Sender{Store: a.store, Client: a.dialer.HTTPClient, Git: a.git, Mirror: a.mirror, Lists: a.lists,
		Shape: ghshape.Shape{Public: a.publicURL, SSHHost: sshHost}, UserAgent: "gitferry/" + version, Log: a.log}
	return ghapi.New(ghapi.Config{Store: a.store, Mirror: a.mirror, Git: a.git, Lists: a.lists, Webhooks: a.webhooks, Pulls: a.pulls, Issues: a.issues,
		PublicURL: a.publicURL, SSHHost: sshHost, Version: version, TrustClearText: a.trustClearText, Log: a.log})
}
