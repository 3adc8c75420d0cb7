package policy

// nearestProject returns the known project whose key is at most two typing
// slips (one for keys of up to three letters) away from key, or "". Of
// several the first in alphabetical order of the nearest is taken.
func nearestProject(key string, projects map[string]bool) string {
	limit := 2
	if len(key) <= 3 {
		limit = 1
	}
	best, distance := "", limit+1
	for p := range projects {
		d := slips(key, p)
		if d < distance || d == distance && d <= limit && p < best {
			best, distance = p, d
		}
	}
	return best
}

// slips counts the letters to change, insert or leave out, and the neighbours
// to swap, to get from a to b (optimal string alignment distance).
func slips(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return max(len(a), len(b))
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
