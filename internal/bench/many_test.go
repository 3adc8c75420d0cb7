package bench

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/mirror"
)

const manyRepositories = 1000

// many measures a server with many mirrored repositories that does nothing:
// its start and its memory. Its upstream cannot be reached.
func many(b *bench) {
	data, key := b.mkdir("many/data"), b.path("many/master.key")
	must(b.t, os.WriteFile(key, []byte(hex.EncodeToString(make([]byte, 32))), 0o400))
	st, err := store.Open(b.t.Context(), filepath.Join(data, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	must(b.t, err)
	i, err := st.AddIntegration(b.t.Context(), ferry.Integration{Slug: "many", Name: "many", Kind: ferry.KindCodeCommit, Region: region, GitAuth: ferry.GitAuthBasic,
		AccessKeyID: "AKIAIOSFODNN7EXAMPLE", GitUsername: "nobody", APIEndpoint: "http://127.0.0.1:1", SNSEndpoint: "http://127.0.0.1:1", GitEndpoint: "http://127.0.0.1:1", PrivateNetwork: true},
		ferry.Credentials{SecretAccessKey: ferry.NewSecret("none"), GitPassword: ferry.NewSecret("none")})
	must(b.t, err)
	template := b.path("many/template.git")
	env := b.directClient()
	b.git(env, b.dir, "clone", "--quiet", "--bare", "--depth=1", "file://"+b.path("work-direct"), template)
	must(b.t, os.WriteFile(filepath.Join(template, "gitferry-copied"), nil, 0o600))
	dir := &mirror.Dir{Root: data}
	for n := range manyRepositories {
		r, err := st.AddRepository(b.t.Context(), ferry.Repository{IntegrationID: i.ID, Owner: "many", Name: fmt.Sprintf("repository-%d", n), Region: region, DefaultBranch: "main",
			CloneURL: fmt.Sprintf("http://127.0.0.1:1/v1/repos/repository-%d", n), State: ferry.RepositoryEnabled})
		must(b.t, err)
		must(b.t, os.CopyFS(dir.Path(r.ID), os.DirFS(template)))
	}
	must(b.t, st.Close())
	config := fmt.Sprintf("data_dir: %s\nmaster_key_file: %s\nhttp:\n  listen: %s\nssh:\n  listen: %s\nupstream:\n  poll: 1h\nlog:\n  level: error\n", data, key, freeAddr(b.t), freeAddr(b.t))
	must(b.t, os.WriteFile(b.path("many/gitferry.yaml"), []byte(config), 0o600))
	b.stop()
	old := b.dir
	b.dir = b.path("many")
	defer func() { b.stop(); b.dir = old; b.restart() }()
	var starts, memory []float64
	for range 5 {
		starts = append(starts, b.restart().Seconds())
		time.Sleep(3 * time.Second)
		memory = append(memory, float64(resident(b.server.Process.Pid))/(1<<20))
		b.stop()
	}
	plural := strings.Replace(fmt.Sprint(manyRepositories), "000", ",000", 1)
	b.add(&row{what: "start to ready with " + plural + " mirrored repositories", against: "–", mark: "≤ 1 s", note: ratio(starts) + " s"})
	b.add(&row{what: "resident memory idle, " + plural + " repositories", against: "–", mark: "≤ 80 MiB", note: ratio(memory) + " MiB"})
}
