// Package azurekeyvault stands in for the module of this name, which unseals Vault with a key in that cloud. Vault's
// configuration refers to it; lain-vault is unsealed with a key of its own, and refuses.
package azurekeyvault

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Wrapper cannot be configured, hence never used.
type Wrapper struct{ wrapping.Wrapper }

// NewWrapper never fails.
func NewWrapper() *Wrapper { return &Wrapper{} }

// SetConfig refuses.
func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("lain-vault does not unseal with azurekeyvault")
}
