package main

import (
	"context"

	"gitferry/api"
	"gitferry/internal/ferry"
	"gitferry/internal/policy"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// The functions that the API asks cmd for.

func (a *app) connector() connector {
	return connector{store: a.store, discovery: a.discovery, triggers: a.triggers, mirror: a.mirror}
}

func (a *app) addKey(ctx context.Context, user ferry.UserID, name, line string) (store.SSHKey, error) {
	return addSSHKey(ctx, a.store, user, name, line)
}

func (a *app) setPolicy(ctx context.Context, r policy.Rules) error {
	return a.store.SetSetting(ctx, settingPolicy, r)
}

func (a *app) readingOptions(ctx context.Context) (smartcommit.Options, error) {
	o, _, err := a.parseOptions(ctx)
	return o, err
}

func (a *app) check(ctx context.Context) api.CheckReport {
	found := checkAll(ctx, a.cfg, a.connector())
	return api.CheckReport{OK: found.ok(), Findings: found}
}
