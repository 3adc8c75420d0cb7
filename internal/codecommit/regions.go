package codecommit

import (
	"regexp"
	"strings"
)

// A Region is one AWS region in which CodeCommit exists or may exist.
type Region struct {
	Code      string // "us-east-1"
	Name      string // "US East (N. Virginia)"
	Group     string // heading in lists: "US", "Europe", …
	FIPS      bool   // FIPS hosts exist for the API and for git over HTTPS
	Confirmed bool   // in the SDK's endpoint metadata for CodeCommit
}

// Regions returns the regions offered in lists, in their order. Any other
// region code works too, with end points by its partition's pattern or given
// by hand. Source: user guide "Regions and Git connection end points" and
// botocore 1.43.67 endpoints.json; the ISO regions are in neither.
func Regions() []Region { return append([]Region(nil), regions...) }

var regions = []Region{
	{"us-east-1", "US East (N. Virginia)", "US", true, true},
	{"us-east-2", "US East (Ohio)", "US", true, true},
	{"us-west-1", "US West (N. California)", "US", true, true},
	{"us-west-2", "US West (Oregon)", "US", true, true},
	{"ca-central-1", "Canada (Central)", "Canada", true, true},
	{"sa-east-1", "South America (Sao Paulo)", "South America", false, true},
	{"eu-west-1", "EU (Ireland)", "Europe", false, true},
	{"eu-west-2", "EU (London)", "Europe", false, true},
	{"eu-west-3", "EU (Paris)", "Europe", false, true},
	{"eu-central-1", "EU (Frankfurt)", "Europe", false, true},
	{"eu-north-1", "EU (Stockholm)", "Europe", false, true},
	{"eu-south-1", "EU (Milan)", "Europe", false, true},
	{"me-south-1", "Middle East (Bahrain)", "Middle East", false, true},
	{"me-central-1", "Middle East (UAE)", "Middle East", false, true},
	{"il-central-1", "Israel (Tel Aviv)", "Middle East", false, true},
	{"af-south-1", "Africa (Cape Town)", "Africa", false, true},
	{"ap-east-1", "Asia Pacific (Hong Kong)", "Asia Pacific", false, true},
	{"ap-south-1", "Asia Pacific (Mumbai)", "Asia Pacific", false, true},
	{"ap-south-2", "Asia Pacific (Hyderabad)", "Asia Pacific", false, true},
	{"ap-southeast-1", "Asia Pacific (Singapore)", "Asia Pacific", false, true},
	{"ap-southeast-2", "Asia Pacific (Sydney)", "Asia Pacific", false, true},
	{"ap-southeast-3", "Asia Pacific (Jakarta)", "Asia Pacific", false, true},
	{"ap-northeast-1", "Asia Pacific (Tokyo)", "Asia Pacific", false, true},
	{"ap-northeast-2", "Asia Pacific (Seoul)", "Asia Pacific", false, true},
	{"ap-northeast-3", "Asia Pacific (Osaka)", "Asia Pacific", false, true},
	{"cn-north-1", "China (Beijing)", "China", false, true},
	{"cn-northwest-1", "China (Ningxia)", "China", false, true},
	{"us-gov-west-1", "AWS GovCloud (US)", "GovCloud", true, true},
	{"us-gov-east-1", "AWS GovCloud (US-East)", "GovCloud", true, true},
	{"us-iso-east-1", "US ISO East", "ISO", false, false},
	{"us-isob-east-1", "US ISOB East (Ohio)", "ISO", false, false},
	{"us-iso-west-1", "US ISO West", "ISO", false, false},
}

var regionForm = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$`)

// ValidRegion reports whether code has the form of a region code.
func ValidRegion(code string) bool { return len(code) <= 32 && regionForm.MatchString(code) }

// A Partition is one of AWS's separate clouds.
type Partition struct {
	ID      string // as in ARNs: "aws", "aws-cn"
	Suffix  string // of host names: "amazonaws.com"
	Console string // domain behind "REGION.", "" where it is not known
	// DualStack is the domain of API hosts that have IPv6 addresses too.
	DualStack string
}

var partitions = []struct {
	prefix string
	Partition
}{
	// Longer prefixes stand before the ones that they begin with.
	{"us-gov-", Partition{"aws-us-gov", "amazonaws.com", "console.amazonaws-us-gov.com", "api.aws"}},
	{"us-isob-", Partition{"aws-iso-b", "sc2s.sgov.gov", "", "api.aws.scloud"}},
	{"us-isof-", Partition{"aws-iso-f", "csp.hci.ic.gov", "", "api.aws.hci.ic.gov"}},
	{"us-iso-", Partition{"aws-iso", "c2s.ic.gov", "", "api.aws.ic.gov"}},
	{"eu-isoe-", Partition{"aws-iso-e", "cloud.adc-e.uk", "", "api.cloud-aws.adc-e.uk"}},
	{"eusc-", Partition{"aws-eusc", "amazonaws.eu", "", "api.amazonwebservices.eu"}},
	{"cn-", Partition{"aws-cn", "amazonaws.com.cn", "console.amazonaws.cn", "api.amazonwebservices.com.cn"}},
	{"", Partition{"aws", "amazonaws.com", "console.aws.amazon.com", "api.aws"}},
}

// PartitionOf returns the partition of a region code.
func PartitionOf(region string) Partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.Partition
		}
	}
	return Partition{}
}

// GitHost returns CodeCommit's host for git over HTTPS and SSH, or, with
// fips, the FIPS host, which is for HTTPS only.
func GitHost(region string, fips bool) string {
	return "git-codecommit" + fipsPart(fips) + "." + region + "." + PartitionOf(region).Suffix
}

// APIHost returns the host of CodeCommit's API.
func APIHost(region string, fips bool) string {
	return "codecommit" + fipsPart(fips) + "." + region + "." + PartitionOf(region).Suffix
}

func fipsPart(fips bool) string {
	if fips {
		return "-fips"
	}
	return ""
}

// CloneURL returns the git URL of a repository under gitEndpoint, the base of
// an integration's git URLs such as "https://HOST" or "ssh://HOST"; empty
// stands for the region's own host over HTTPS.
func CloneURL(region, gitEndpoint, repository string) string {
	if gitEndpoint == "" {
		gitEndpoint = "https://" + GitHost(region, false)
	}
	return strings.TrimRight(gitEndpoint, "/") + "/v1/repos/" + repository
}

// WithSSHKeyID puts the SSH key ID that IAM shows into an SSH URL as its user
// name. A URL that has a user, is no ssh:// URL or meets an empty ID comes
// back as it is; port, path and case are kept.
func WithSSHKeyID(url, keyID string) string {
	rest, ok := strings.CutPrefix(url, "ssh://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || keyID == "" || strings.Contains(host, "@") {
		return url
	}
	return "ssh://" + keyID + "@" + rest
}
