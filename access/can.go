package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// Action is something that a person may or may not do.
type Action string

// The actions, as the front doors ask for them. The last two are about no application.
const (
	Read        Action = "read"         // see, fetch, follow logs
	Push        Action = "push"         // push, deploy, cancel a run
	Operate     Action = "operate"      // scale, restart, roll back, config
	CreateApp   Action = "create-app"   // make it
	DeleteApp   Action = "delete-app"   // remove it with all it has
	ManageKeys  Action = "manage-keys"  // people and their keys
	ManageNodes Action = "manage-nodes" // the cluster itself
)

// rights is the one table of who may do what.
var rights = map[Role][]Action{
	Admin: {Read, Push, Operate, CreateApp, DeleteApp, ManageKeys, ManageNodes},
}

// Can returns nil if the person may do the action on the application ("" for one that is about none), or
// a fault of kind Denied. Who is unknown may nothing.
func (s *Store) Can(ctx context.Context, person lain.Person, action Action, app lain.AppName) error {
	item, err := s.people.Get(ctx, string(person))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return fmt.Errorf("rights of %s: %w", person, err)
	}
	if err == nil && slices.Contains(rights[item.Value.Role], action) {
		return nil
	}
	if app == "" {
		return fault.New(fault.Denied, "%s may not %s", person, action)
	}
	return fault.New(fault.Denied, "%s may not %s %s", person, action, app)
}
