package weave

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

// wellFormed fails unless svg is XML that a strict policy lets stand in a page.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "style" || a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("attribute %s in %s", a.Name.Local, e.Name.Local)
				}
			}
		}
	}
	if !strings.Contains(svg, `aria-hidden="true"`) {
		t.Error("decoration that is read aloud")
	}
}

func TestCoverIsTheCoursesOwn(t *testing.T) {
	seen := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprintf("01980a52-7c00-7000-8000-%012x", i)
		svg := Cover(id)
		wellFormed(t, svg)
		if Cover(id) != svg {
			t.Fatal("the same course has two covers")
		}
		if len(svg) > 6000 {
			t.Errorf("cover %d has %d bytes", i, len(svg))
		}
		if seen[svg] {
			t.Errorf("cover %d is another course's", i)
		}
		seen[svg] = true
	}
}

// Courses made one after the other differ in one digit; their covers must not
// look alike.
func TestNeighboursUseTheWholeWardrobe(t *testing.T) {
	grounds := map[string]int{}
	for i := range 160 {
		_, rest, _ := strings.Cut(Cover(fmt.Sprintf("01980a52-7c00-7000-8000-%012d", i)), `<path fill="`)
		grounds[rest[:7]]++
	}
	if len(grounds) != len(palettes) {
		t.Errorf("%d palettes of %d used: %v", len(grounds), len(palettes), grounds)
	}
	for colour, n := range grounds {
		if n > 160/len(palettes)*3 {
			t.Errorf("%s covers %d of 160 courses", colour, n)
		}
	}
}

func TestStructuresRepeatWithinTheTile(t *testing.T) {
	for n, over := range structures {
		for i := range size {
			for j := range size {
				if over(i, j) != over(i+size, j) || over(i, j) != over(i, j+size) {
					t.Fatalf("structure %d has a seam at %d, %d", n, i, j)
				}
			}
		}
	}
}

func TestStructuresAreCloth(t *testing.T) {
	for n, over := range structures {
		for i := range size {
			up, down := 0, 0
			for j := range size {
				if over(i, j) {
					up++
				} else {
					down++
				}
			}
			if up == 0 || down == 0 {
				t.Errorf("structure %d: warp thread %d is never crossed and would fall out", n, i)
			}
		}
	}
}

func TestLoom(t *testing.T) { wellFormed(t, Loom()) }

func TestRibbonIsAsLongAsTheWay(t *testing.T) {
	for _, c := range []struct {
		done, total int
		failed      bool
		want        []string
		not         string
	}{
		{0, 4, false, []string{`width="0%"`}, "l-stripe"},
		{1, 4, false, []string{`width="25%"`, "l-stripe", "l-weft"}, "l-failed"},
		{2, 3, true, []string{`width="66%"`, "l-failed"}, "l-weft"},
		{4, 4, false, []string{`<rect width="100%" height="40" fill="url(#tecido)"/>`}, "l-stripe"},
		{9, 4, false, []string{`<rect width="100%" height="40" fill="url(#tecido)"/>`}, "l-stripe"},
		{0, 0, false, []string{`width="0%"`}, "l-stripe"},
	} {
		svg := Ribbon(c.done, c.total, c.failed)
		wellFormed(t, svg)
		for _, want := range c.want {
			if !strings.Contains(svg, want) {
				t.Errorf("%+v lacks %s: %s", c, want, svg)
			}
		}
		if strings.Contains(svg, c.not) {
			t.Errorf("%+v has %s", c, c.not)
		}
	}
}
