package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/lain"
)

// routeTable is the routes of each application.
type routeTable map[string][]lain.Route

// readTable reads what write wrote. A file that is missing or damaged is an empty table: it only holds
// what refused routes fall back on.
func readTable(path string) (routeTable, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return routeTable{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last good routes: %w", err)
	}
	t := routeTable{}
	if json.Unmarshal(data, &t) != nil {
		return routeTable{}, nil
	}
	return t, nil
}

func (t routeTable) write(path string) error {
	data, err := json.Marshal(t)
	if err == nil {
		err = atomicfile.Write(path, data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep the last good routes: %w", err)
	}
	return nil
}

func (t routeTable) equal(other routeTable) bool {
	return maps.EqualFunc(t, other, slices.Equal[[]lain.Route])
}
