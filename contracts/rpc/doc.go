// Package rpc is where the contracts of calls between services stand: a folder
// per service and version with its .proto file and, beside it, the generated
// messages, client and handler. Comments of the .proto files are the promise.
package rpc

//go:generate go run -C ../../tools ./rpcgen -root ../contracts/rpc
