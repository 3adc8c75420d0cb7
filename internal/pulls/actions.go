package pulls

import (
	"context"
	"errors"

	"gitferry/internal/ferry"
)

// SettingActions is the name of the setting that holds Actions.
const SettingActions = "pulls.actions"

// Actions are what an administrator switched off; the zero value is nothing.
type Actions struct {
	NoBranches bool `json:"no_branches,omitempty"` // making and deleting branches
	NoPulls    bool `json:"no_pulls,omitempty"`    // making pull requests
}

// Actions returns what is switched off.
func (h *Host) Actions(ctx context.Context) (Actions, error) {
	var a Actions
	err := h.Store.Setting(ctx, SettingActions, &a)
	if errors.Is(err, ferry.ErrNotFound) {
		return a, nil
	}
	return a, err
}

// mayBranch and mayPull fail with ferry.ErrDenied where the action is switched
// off.
func (h *Host) mayBranch(ctx context.Context) error {
	a, err := h.Actions(ctx)
	if err == nil && a.NoBranches {
		err = &ferry.Message{Kind: ferry.ErrDenied, Text: "an administrator switched off making and deleting branches here"}
	}
	return err
}

func (h *Host) mayPull(ctx context.Context) error {
	a, err := h.Actions(ctx)
	if err == nil && a.NoPulls {
		err = &ferry.Message{Kind: ferry.ErrDenied, Text: "an administrator switched off making pull requests here"}
	}
	return err
}
