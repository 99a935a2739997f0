// Package weave draws cloth: the covers of courses, the loom of the home page,
// the ribbon that shows how far a payment is. "Trama" is the weft, the thread
// that makes cloth of what was only strings side by side.
//
// A drawing is an SVG text without style attributes, scripts or references to
// the outside, so that it can stand inside a page under a strict content
// security policy. The same input always gives the same drawing. Drawings are
// decoration: they are hidden from assistive technology.
package weave

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// size is the number of threads of a tile in each direction; every structure and
// every stripe repeats within it.
const size = 16

// pitch is the distance between two threads and thread their width, in user units.
const (
	pitch  = 10
	thread = 8
)

// palette holds the colours of a cloth, named after what dyes it.
type palette struct {
	ground string    // seen between threads
	warp   [2]string // vertical threads: main and stripe
	weft   [2]string // horizontal threads: main and stripe
}

var palettes = [...]palette{
	{"#14163a", [2]string{"#2f3d93", "#4a5cc2"}, [2]string{"#cfd7ff", "#f2b84b"}}, // índigo
	{"#3a0f0b", [2]string{"#b33a1f", "#d6592f"}, [2]string{"#ffdcc0", "#6a1f14"}}, // urucum
	{"#3a2905", [2]string{"#b97c0d", "#dba12b"}, [2]string{"#fff0c7", "#5f4309"}}, // açafrão
	{"#0b291d", [2]string{"#1e6a4a", "#2f8d62"}, [2]string{"#d8f0da", "#e7b545"}}, // erva-mate
	{"#32081f", [2]string{"#981f53", "#bf3a70"}, [2]string{"#ffd6e4", "#4f1030"}}, // cochonilha
	{"#0e1b2a", [2]string{"#1e4c72", "#2f709f"}, [2]string{"#d5eaf7", "#ef8b4d"}}, // jenipapo
	{"#2a1a12", [2]string{"#875136", "#a76b49"}, [2]string{"#f2e3d2", "#2e5c62"}}, // barro
	{"#231237", [2]string{"#5c34a2", "#7a51c2"}, [2]string{"#e8ddff", "#f4c64f"}}, // ipê
}

// structure says whether the weft lies over the warp where weft thread j crosses
// warp thread i.
type structure func(i, j int) bool

var structures = [...]structure{
	func(i, j int) bool { return (i+j)&1 == 0 },                                // tafetá
	func(i, j int) bool { return (i/2+j/2)&1 == 0 },                            // esteira
	func(i, j int) bool { return (i+j)&3 < 2 },                                 // sarja
	func(i, j int) bool { return (i+zigzag(j))&3 < 2 },                         // ziguezague
	func(i, j int) bool { return (zigzag(i)+j)&3 < 2 },                         // espinha de peixe
	func(i, j int) bool { return (zigzag(i)+zigzag(j))&3 < 2 },                 // losango
	func(i, j int) bool { return (i+j*3)&7 == 0 || (i+j*3)&7 == 4 },            // cetim
	func(i, j int) bool { return (i&7 < 4) != (j&7 < 4) == ((i+j)&1 == 0) },    // xadrez de texturas
	func(i, j int) bool { return zigzag(i)+zigzag(j) < 8 == ((i+j)&3 < 2) },    // olho de perdiz
	func(i, j int) bool { return (i+j)&7 < 3 || (i-j)&7 == 0 && (i+j)&1 == 0 }, // diagonal larga
}

// zigzag counts 0…7 and back 8…1.
func zigzag(n int) int {
	n &= size - 1
	if n < size/2 {
		return n
	}
	return size - n
}

// stripes say which threads take the second colour.
var stripes = [...]func(n int) bool{
	func(n int) bool { return false },
	func(n int) bool { return n&7 == 3 },
	func(n int) bool { return n&7 >= 4 },
	func(n int) bool { return n == 2 || n == 4 || n == 11 },
	func(n int) bool { return n&3 == 0 },
	func(n int) bool { return n >= 6 && n < 10 },
}

// Cover draws the cover of a course; its id chooses the weave, the stripes and
// the dyes, so that a course looks the same wherever it is shown.
func Cover(id string) string {
	h := hash(id)
	c := cloth{
		palette: palettes[h>>27%uint64(len(palettes))],
		over:    structures[h%uint64(len(structures))],
		warp:    stripes[h>>8%uint64(len(stripes))],
		weft:    stripes[h>>16%uint64(len(stripes))],
	}
	zoom := []string{"1", "1.25", "1.6"}[h>>24%3]
	angle := []string{"", " rotate(45)", "", " rotate(-45)"}[h>>32%4]
	name := fmt.Sprintf("t%012x", h&0xffffffffffff)
	var b strings.Builder
	b.WriteString(`<svg class="cover" viewBox="0 0 320 180" preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false">`)
	fmt.Fprintf(&b, `<defs><pattern id="%s" width="%d" height="%d" patternUnits="userSpaceOnUse" patternTransform="scale(%s)%s">`,
		name, size*pitch, size*pitch, zoom, angle)
	c.draw(&b)
	fmt.Fprintf(&b, `</pattern></defs><rect width="320" height="180" fill="url(#%s)"/></svg>`, name)
	return b.String()
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	// Ids made one after the other differ in a digit or two; two rounds of mixing
	// (as in MurmurHash3 and SplitMix64) spread that over all bits.
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xbf58476d1ce4e5b9
	return v ^ v>>29
}

// cloth is one tile of woven threads.
type cloth struct {
	palette
	over       structure
	warp, weft func(n int) bool
}

// draw writes the tile: the ground, the warp, and over it each stretch of weft.
func (c cloth) draw(b *strings.Builder) {
	fmt.Fprintf(b, `<path fill="%s" d="M0 0h%[2]dv%[2]dH0z"/>`, c.ground, size*pitch)
	var vertical, horizontal [2]strings.Builder
	for i := range size {
		fmt.Fprintf(&vertical[index(c.warp(i))], "M%d 0h%dv%dh-%[2]dz", i*pitch+(pitch-thread)/2, thread, size*pitch)
	}
	for j := range size {
		runs(&horizontal[index(c.weft(j))], 0, size, func(i int) bool { return c.over(i, j) }, func(i, n int) string {
			return fmt.Sprintf("M%d %dh%dv%dh-%[3]dz", i*pitch, j*pitch+(pitch-thread)/2, n*pitch, thread)
		})
	}
	for k := range 2 {
		path(b, c.palette.warp[k], vertical[k].String())
	}
	for k := range 2 {
		path(b, c.palette.weft[k], horizontal[k].String())
	}
}

func index(second bool) int {
	if second {
		return 1
	}
	return 0
}

func path(b *strings.Builder, fill, d string) {
	if d != "" {
		fmt.Fprintf(b, `<path fill="%s" d="%s"/>`, fill, d)
	}
}
