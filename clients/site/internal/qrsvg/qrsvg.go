// Package qrsvg draws a QR code as SVG, for a person who pays by pix with the
// telephone's camera.
package qrsvg

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quiet is the white border that readers need, in modules (ISO/IEC 18004, 9.1).
const quiet = 4

// Draw gives an SVG of text with error correction level M (15 %), labelled for
// assistive technology. The ground is white whatever the page's colours are,
// because many readers refuse inverted codes. It fails when text is too long
// (about 2,300 bytes).
func Draw(text, label string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("qrsvg: %w", err)
	}
	var d strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			n := 0
			for x+n < code.Size && code.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&d, "M%d %dh%dv1h-%[3]dz", x+quiet, y+quiet, n)
				x += n
			}
		}
	}
	side := code.Size + 2*quiet
	return fmt.Sprintf(`<svg class="qr" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="%[2]s" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%[3]s"/></svg>`, side, escape.Replace(label), d.String()), nil
}

var escape = strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;")
