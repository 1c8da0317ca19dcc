package spread

// Count is how many calls one key answered.
type Count struct {
	Key   string `json:"key"`
	Calls int    `json:"calls"`
}

// Distribution folds answers into counts by key, keys in the order in which
// they were first seen. The number of distinct keys is capped, so that a peer
// that invents a name for every answer can't take the memory.
//
// It is not safe for use by several goroutines.
type Distribution struct {
	limit        int
	index        map[string]int
	counts       []Count
	total        int
	unidentified int
	overflowed   int
}

// NewDistribution gives an empty one that keeps at most limit distinct keys
// (at least 1).
func NewDistribution(limit int) *Distribution {
	return &Distribution{limit: max(limit, 1), index: map[string]int{}}
}

// Add counts one answer of key. An empty key is an answer of which nobody
// knows where it came from; a new key beyond the cap is one too, and flagged.
func (d *Distribution) Add(key string) {
	d.total++
	if key == "" {
		d.unidentified++
		return
	}
	i, known := d.index[key]
	if !known {
		if len(d.counts) >= d.limit {
			d.unidentified++
			d.overflowed++
			return
		}
		i = len(d.counts)
		d.index[key] = i
		d.counts = append(d.counts, Count{Key: key})
	}
	d.counts[i].Calls++
}

// Counts are the keys kept, in first-seen order; the slice is a copy.
func (d *Distribution) Counts() []Count { return append([]Count(nil), d.counts...) }

// Of is the number of answers of one key.
func (d *Distribution) Of(key string) int {
	if i, ok := d.index[key]; ok {
		return d.counts[i].Calls
	}
	return 0
}

// Total is the number of answers added, unidentified ones included.
func (d *Distribution) Total() int { return d.total }

// Unidentified is the number of answers that are in no key's count.
func (d *Distribution) Unidentified() int { return d.unidentified }

// Overflowed is the number of answers whose key came after the cap was
// reached; more than 0 means that the peer's names identify nothing.
func (d *Distribution) Overflowed() int { return d.overflowed }
