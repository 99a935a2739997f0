package weave

import (
	"fmt"
	"strings"
)

// Loom draws cloth in the making: warp threads from edge to edge, woven from the
// bottom up, and a shuttle that carries the next thread across. Its colours come
// from the style sheet (classes l-warp, l-weft, l-stripe, l-shuttle, l-bobbin),
// because the loom stands on the page's own ground.
func Loom() string {
	const columns, rows, woven = 30, 33, 21
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="loom" viewBox="0 0 %d %d" aria-hidden="true" focusable="false">`, columns*pitch, rows*pitch)
	var bare, over, weft, stripe strings.Builder
	for i := range columns {
		fmt.Fprintf(&bare, "M%d 0h%dv%dh-%[2]dz", i*pitch+2, pitch-4, (rows-woven)*pitch)
	}
	for j := rows - woven; j < rows; j++ {
		into := &weft
		if d := rows - 1 - j; d == 4 || d == 5 || d == 8 || d == 15 || d == 16 {
			into = &stripe
		}
		fmt.Fprintf(into, "M0 %dh%dv%dH0z", j*pitch+1, columns*pitch, thread)
	}
	for i := range columns {
		runs(&over, rows-woven, rows, func(j int) bool { return (zigzag(i)+zigzag(j))&3 >= 2 }, func(j, n int) string {
			return fmt.Sprintf("M%d %dh%dv%dh-%[3]dz", i*pitch+2, j*pitch, pitch-4, n*pitch)
		})
	}
	// The thread under way: over and under, up to the shuttle.
	const reach = 18
	y := (rows - woven - 3) * pitch
	var thrown strings.Builder
	fmt.Fprintf(&thrown, "M0 %dh%dv%dH0z", y+1, reach*pitch, thread)
	classed(&b, "l-warp", bare.String())
	classed(&b, "l-weft", weft.String())
	classed(&b, "l-stripe", stripe.String()+thrown.String())
	for i := range reach {
		if (i>>1)&1 == 1 {
			fmt.Fprintf(&over, "M%d %dh%dv%dh-%[3]dz", i*pitch+2, y, pitch-4, pitch)
		}
	}
	classed(&b, "l-warp", over.String())
	x := reach * pitch
	fmt.Fprintf(&b, `<path class="l-shuttle" d="M%d %dq36 -17 88 0q-52 17 -88 0z"/>`, x-4, y+pitch/2)
	fmt.Fprintf(&b, `<path class="l-bobbin" d="M%d %dh34"/>`, x+22, y+pitch/2)
	b.WriteString(`</svg>`)
	return b.String()
}

// Ribbon draws a band of cloth as wide as its place, of which done of total parts
// are woven; the rest is warp that waits. Its height is four threads. Classes as
// in Loom; the weft of a failed ribbon is l-failed.
func Ribbon(done, total int, failed bool) string {
	const columns, rows = 8, 4
	total = max(total, 1)
	done = min(max(done, 0), total)
	weft := "l-weft"
	if failed {
		weft = "l-failed"
	}
	var b, warp, vertical, over strings.Builder
	for j := range rows {
		fmt.Fprintf(&warp, "M0 %dh%dv%dH0z", j*pitch+2, columns*pitch, pitch-4)
		runs(&over, 0, columns, func(i int) bool { return (zigzag(2*i)+j)&3 >= 2 }, func(i, n int) string {
			return fmt.Sprintf("M%d %dh%dv%dh-%[3]dz", i*pitch, j*pitch+2, n*pitch, pitch-4)
		})
	}
	for i := range columns {
		fmt.Fprintf(&vertical, "M%d 0h%dv%dh-%[2]dz", i*pitch+1, thread, rows*pitch)
	}
	b.WriteString(`<svg class="ribbon" aria-hidden="true" focusable="false"><defs>`)
	tile := func(name string) {
		fmt.Fprintf(&b, `<pattern id="%s" width="%d" height="%d" patternUnits="userSpaceOnUse">`, name, columns*pitch, rows*pitch)
	}
	tile("urdume")
	classed(&b, "l-warp", warp.String())
	b.WriteString(`</pattern>`)
	tile("tecido")
	classed(&b, weft, vertical.String())
	classed(&b, "l-warp", over.String())
	percent := done * 100 / total
	fmt.Fprintf(&b, `</pattern></defs><rect width="100%%" height="%d" fill="url(#urdume)"/><rect width="%d%%" height="%d" fill="url(#tecido)"/>`,
		rows*pitch, percent, rows*pitch)
	if percent > 0 && percent < 100 {
		fmt.Fprintf(&b, `<rect class="l-stripe" x="%d%%" width="%d" height="%d"/>`, percent, thread, rows*pitch)
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// runs writes each stretch of from…to in which over holds.
func runs(b *strings.Builder, from, to int, over func(int) bool, draw func(start, n int) string) {
	for k := from; k < to; k++ {
		n := 0
		for k+n < to && over(k+n) {
			n++
		}
		if n > 0 {
			b.WriteString(draw(k, n))
			k += n
		}
	}
}

func classed(b *strings.Builder, class, d string) {
	if d != "" {
		fmt.Fprintf(b, `<path class="%s" d="%s"/>`, class, d)
	}
}
