package gateway

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzHead: however the head is cut into pieces, the same is seen, and nothing
// behind its end.
func FuzzHead(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 3)
	f.Add([]byte("\r\nPOST / HTTP/1.1\nCONTENT-LENGTH:1\n\nTransfer-Encoding: x\n"), 7)
	f.Fuzz(func(t *testing.T, message []byte, step int) {
		if step < 1 || step > 100 {
			step = 1
		}
		var whole, pieces head
		whole.scan(message)
		for p := message; len(p) > 0; {
			n := min(step, len(p))
			pieces.scan(p[:n])
			p = p[n:]
		}
		if whole.length != pieces.length || whole.transfer != pieces.transfer || whole.done != pieces.done {
			t.Fatalf("%q: whole %+v, in pieces of %d %+v", message, whole, step, pieces)
		}
		// What it sees is what a plain reading of the lines sees.
		text := strings.ReplaceAll(strings.TrimLeft(string(message), "\r\n"), "\r\n", "\n")
		if strings.Contains(strings.ReplaceAll(string(message), "\r\n", ""), "\r") {
			return // stray CRs: net/http refuses them
		}
		lines, _, _ := strings.Cut(text, "\n\n")
		lower := "\n" + strings.ToLower(lines)
		if !strings.Contains(text, "\n\n") {
			lower = lower[:strings.LastIndexByte(lower, '\n')+1] // the last line is not over
		}
		if want := strings.Contains(lower, "\ncontent-length:"); whole.length != want && isASCII(message) {
			t.Fatalf("%q: length seen %v, want %v", message, whole.length, want)
		}
	})
}

func isASCII(p []byte) bool { return bytes.IndexFunc(p, func(r rune) bool { return r > 126 }) < 0 }

// TestReplay: a body can be read again from its beginning as long as little of
// it was read, and never loses or repeats a byte.
func TestReplay(t *testing.T) {
	for _, size := range []int{0, 1, 1000, maxReplay, maxReplay + 1, 3 * maxReplay} {
		want := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		b := &replay{src: io.NopCloser(bytes.NewReader(want))}
		first, err := b.reader()
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, size/2)
		if _, err := io.ReadFull(first, part); err != nil || !bytes.Equal(part, want[:size/2]) {
			t.Fatalf("%d: %v", size, err)
		}
		_ = first.Close()
		second, err := b.reader()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(second)
		if size/2 > maxReplay {
			if err == nil {
				t.Errorf("%d: half a body was sent as a whole one", size)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: got %d bytes, %v", size, len(got), err)
		}
	}
}
