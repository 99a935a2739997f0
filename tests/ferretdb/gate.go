package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxMessage is MongoDB's limit for a wire message, in bytes.
const maxMessage = 48_000_000

// gate lets one command at a time through to the server, of all connections.
type gate struct {
	socket string // where the server listens
	turn   sync.Mutex
}

// serve carries every connection of l until it is closed.
func (g *gate) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go g.carry(client)
	}
}

// carry passes whole messages to and fro: each request has one answer.
func (g *gate) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", g.socket)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		request, err := read(client)
		if err != nil {
			return
		}
		answer, err := g.ask(server, request)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func (g *gate) ask(server net.Conn, request []byte) ([]byte, error) {
	g.turn.Lock()
	defer g.turn.Unlock()
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return read(server)
}

// read takes one message; its first four bytes are its length, little-endian.
func read(c net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 16 || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	message := make([]byte, n)
	copy(message, head[:])
	_, err := io.ReadFull(c, message[4:])
	return message, err
}
