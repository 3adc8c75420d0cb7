package weblink

// A Provider is a host whose addresses are known, but for the marks.
type Provider struct {
	ID, Name  string
	Templates Templates
}

// Providers returns the hosts that fill the templates in. What stands between
// < and > is the administrator's to replace.
func Providers() []Provider {
	codeCommit := func(path string) string {
		return "https://<region>.console.aws.amazon.com/codesuite/codecommit/repositories/<repository>" + path + "?region=<region>"
	}
	const github, gitlab, bitbucket = "https://github.com/<owner>/<repository>", "https://gitlab.com/<group>/<repository>", "https://bitbucket.org/<workspace>/<repository>"
	const gitea, cgit, gitweb = "https://<host>/<owner>/<repository>", "https://<host>/<repository>", "https://<host>/?p=<repository>"
	return []Provider{
		{"codecommit", "AWS CodeCommit", Templates{Changeset: codeCommit("/commit/${rev}"), Added: codeCommit("/browse/${rev}/--/${path}"),
			Modified: codeCommit("/browse/${rev}/--/${path}"), Deleted: codeCommit("/browse/${parent}/--/${path}"),
			Branch: codeCommit("/browse/refs/heads/${branch}"), Tag: codeCommit("/browse/refs/tags/${tagname}"), Merge: codeCommit("/pull-requests/${mergereqId}/details")}},
		{"github", "GitHub", Templates{Changeset: github + "/commit/${rev}", Added: github + "/blob/${rev}/${path}", Modified: github + "/commit/${rev}#diff-${sha256path}",
			Deleted: github + "/blob/${parent}/${path}", Branch: github + "/tree/${branch}", Tag: github + "/releases/tag/${tagname}", Merge: github + "/pull/${mergereqId}"}},
		{"gitlab", "GitLab", Templates{Changeset: gitlab + "/-/commit/${rev}", Added: gitlab + "/-/blob/${rev}/${path}", Modified: gitlab + "/-/commit/${rev}#${sha1path}",
			Deleted: gitlab + "/-/blob/${parent}/${path}", Branch: gitlab + "/-/tree/${branch}", Tag: gitlab + "/-/tags/${tagname}", Merge: gitlab + "/-/merge_requests/${mergereqId}"}},
		{"bitbucket", "Bitbucket", Templates{Changeset: bitbucket + "/commits/${rev}", Added: bitbucket + "/src/${rev}/${path}", Modified: bitbucket + "/src/${rev}/${path}",
			Deleted: bitbucket + "/src/${parent}/${path}", Branch: bitbucket + "/branch/${branch}", Tag: bitbucket + "/commits/tag/${tagname}", Merge: bitbucket + "/pull-requests/${mergereqId}"}},
		{"gitea", "Gitea", Templates{Changeset: gitea + "/commit/${rev}", Added: gitea + "/src/commit/${rev}/${path}", Modified: gitea + "/src/commit/${rev}/${path}",
			Deleted: gitea + "/src/commit/${parent}/${path}", Branch: gitea + "/src/branch/${branch}", Tag: gitea + "/src/tag/${tagname}", Merge: gitea + "/pulls/${mergereqId}"}},
		{"cgit", "cgit", Templates{Changeset: cgit + "/commit/?id=${rev}", Added: cgit + "/tree/${path}?id=${rev}", Modified: cgit + "/diff/${path}?id=${rev}",
			Deleted: cgit + "/tree/${path}?id=${parent}", Branch: cgit + "/log/?h=${branch}", Tag: cgit + "/tag/?h=${tagname}"}},
		{"gitweb", "gitweb", Templates{Changeset: gitweb + ";a=commit;h=${rev}", Added: gitweb + ";a=blob;f=${path};hb=${rev}", Modified: gitweb + ";a=blobdiff;f=${path};hb=${rev};hpb=${parent}",
			Deleted: gitweb + ";a=blob;f=${path};hb=${parent}", Branch: gitweb + ";a=shortlog;h=refs/heads/${branch}", Tag: gitweb + ";a=tag;h=refs/tags/${tagname}"}},
	}
}
