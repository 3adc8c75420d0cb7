package config

import "time"

const day = 24 * time.Hour

// Default returns the settings that hold where nothing is given. Both doors
// listen on loopback only, and nothing is refused that the upstream would
// take but forced pushes to, and deletion of, the default branch.
func Default() *Config {
	return &Config{
		DataDir: "gitferry-data",
		HTTP:    HTTP{Listen: "127.0.0.1:7080"},
		OIDC:    OIDC{Label: "single sign-on", Claim: "email"},
		SSH:     SSH{Listen: "127.0.0.1:7022"},
		Upstream: Upstream{
			LookTimeout:  Duration(3 * time.Second),
			Poll:         Duration(450 * time.Second),
			PollNotified: Duration(time.Hour),
			PollMax:      Duration(24 * time.Hour),
			List:         Duration(time.Hour),
		},
		Mirror: Mirror{UnreachableTTL: Duration(14 * day)},
		Gate: Gate{
			Stream:       true,
			StoreBelow:   1 << 20,
			MaxHold:      Duration(15 * time.Second),
			CheckTimeout: Duration(20 * time.Second),
			Index:        "before",
			Limits: Limits{
				Commands:      4000,
				PackBytes:     2 << 30,
				Objects:       5_000_000,
				ObjectBytes:   2_000_000_000,
				InflatedBytes: 20 << 30,
				Commits:       50_000,
				FreeDisk:      1 << 30,
			},
		},
		Policy:       Policy{ProtectDefaultBranch: true, ExemptMerges: true, ExemptReverts: true},
		SmartCommits: SmartCommits{Processor: "gitferry", MaxAge: Duration(14 * day)},
		Log:          Log{Level: "info", Format: "text"},
	}
}
