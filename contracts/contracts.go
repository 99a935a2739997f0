// Package contracts holds the texts of the public contract that more than one
// package reads: today the catalogue of problems. The contract itself is in the
// folders beside this file; what is generated from it stands next to its source.
package contracts

import _ "embed"

//go:embed problems.yaml
var problems string

// Problems gives the text of problems.yaml.
func Problems() string { return problems }
