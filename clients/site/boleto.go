package site

import (
	"fmt"
	"strings"
)

// boleto reads a line of 47 digits as the Brazilian banks define it and gives
// the line as it is printed and its bar code as SVG (interleaved 2 of 5, 44
// digits). ok is false for a line of another length.
func boleto(line string) (printed, svg string, ok bool) {
	var digits strings.Builder
	for _, r := range line {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r != ' ' && r != '.' && r != '-':
			return "", "", false
		}
	}
	d := digits.String()
	if len(d) != 47 {
		return "", "", false
	}
	printed = fmt.Sprintf("%s.%s %s.%s %s.%s %s %s", d[:5], d[5:10], d[10:15], d[15:21], d[21:26], d[26:32], d[32:33], d[33:])
	// Bank and currency, general check digit, due date and amount, free field:
	// the line's three first fields carry the free field and their own check digits.
	code := d[:4] + d[32:33] + d[33:] + d[4:9] + d[10:20] + d[21:31]
	return printed, bars(code), true
}

// widths of the five elements of each digit in interleaved 2 of 5: 1 narrow, 3 wide.
var widths = [10][5]int{
	{1, 1, 3, 3, 1}, {3, 1, 1, 1, 3}, {1, 3, 1, 1, 3}, {3, 3, 1, 1, 1}, {1, 1, 3, 1, 3},
	{3, 1, 3, 1, 1}, {1, 3, 3, 1, 1}, {1, 1, 1, 3, 3}, {3, 1, 1, 3, 1}, {1, 3, 1, 3, 1},
}

// bars draws an even number of digits. The ground is white in dark mode too.
func bars(code string) string {
	const quiet, height = 10, 50
	x := quiet
	var d strings.Builder
	bar := func(w int) { fmt.Fprintf(&d, "M%d 0h%dv%dh-%[2]dz", x, w, height); x += w }
	bar(1)
	x++
	bar(1)
	x++
	for i := 0; i+1 < len(code); i += 2 {
		black, white := widths[code[i]-'0'], widths[code[i+1]-'0']
		for k := range 5 {
			bar(black[k])
			x += white[k]
		}
	}
	bar(3)
	x++
	bar(1)
	x += quiet
	return fmt.Sprintf(`<svg class="barcode" viewBox="0 0 %[1]d %[2]d" preserveAspectRatio="none" role="img" aria-label="Código de barras do boleto" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[2]dH0z"/><path fill="#000" d="%[3]s"/></svg>`, x, height, d.String())
}
