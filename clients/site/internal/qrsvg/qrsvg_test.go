package qrsvg

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"rsc.io/qr"
)

const pix = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Trama Escola6008BRASILIA62070503***63041D3D"

var run = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`)

// The drawing, read back module by module, is the code with its quiet zone.
func TestDrawing(t *testing.T) {
	svg, err := Draw(pix, `QR code "do" <pix>`)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Fatalf("not well formed: %v", err)
	}
	if !strings.Contains(svg, `role="img" aria-label="QR code &quot;do&quot; &lt;pix&gt;"`) {
		t.Errorf("label: %s", svg[:200])
	}
	code, err := qr.Encode(pix, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(svg, fmt.Sprintf(`viewBox="0 0 %[1]d %[1]d"`, code.Size+8)) {
		t.Error("no quiet zone of four modules on each side")
	}
	black := map[[2]int]bool{}
	for _, m := range run.FindAllStringSubmatch(svg, -1) {
		var x, y, n int
		_, _ = fmt.Sscan(m[1]+" "+m[2]+" "+m[3], &x, &y, &n)
		for k := range n {
			black[[2]int{x + k - 4, y - 4}] = true
		}
	}
	for y := -4; y < code.Size+4; y++ {
		for x := -4; x < code.Size+4; x++ {
			if black[[2]int{x, y}] != code.Black(x, y) {
				t.Fatalf("module %d, %d is wrong", x, y)
			}
		}
	}
}

func TestTooLong(t *testing.T) {
	if _, err := Draw(strings.Repeat("x", 3000), "x"); err == nil {
		t.Error("3,000 bytes fit into a QR code")
	}
}
