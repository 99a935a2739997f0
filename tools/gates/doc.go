// Package gates holds the checks of the REST contract that need tools: nothing
// that was released may break, and generated code is what the generator writes
// today. They live in the tools module, so that the product's tests need none of
// the tools' dependencies. Run them with go test ./... in tools.
package gates
