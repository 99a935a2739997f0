package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"trama/edge/gateway"
)

// small answers with 1 KiB of JSON.
var small = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, smallBody)
})

var smallBody = `{"x":"` + strings.Repeat("x", 1016) + `"}`

// cpu reports the processor time of the whole process per operation (client and
// service included), which other load on the machine disturbs less than the clock.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := used()
	return func() { b.ReportMetric(float64((used()-begin).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }
}

// bench sends GETs over kept connections.
func bench(b *testing.B, target string) {
	b.Helper()
	c := client(b)
	b.ReportAllocs()
	defer cpu(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := c.Do(request(b, "GET", target, nil))
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if err != nil || n != int64(len(smallBody)) {
				b.Errorf("%d bytes, %v", n, err)
				return
			}
		}
	})
}

// BenchmarkDirect is the service alone, what everything else is measured against.
func BenchmarkDirect(b *testing.B) {
	up := httptest.NewServer(small)
	defer up.Close()
	bench(b, up.URL+"/v1/marketing/leads")
}

// BenchmarkInside is the service in the gateway's process.
func BenchmarkInside(b *testing.B) {
	bench(b, inside(b, gateway.Config{}, small).url+"/marketing/leads")
}

// BenchmarkOutside is the service behind the gateway's proxy.
func BenchmarkOutside(b *testing.B) {
	bench(b, outside(b, gateway.Config{}, small).url+"/marketing/leads")
}

// BenchmarkBareReverseProxy is the standard library's proxy with nothing added.
func BenchmarkBareReverseProxy(b *testing.B) {
	up := httptest.NewServer(small)
	defer up.Close()
	u, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded() },
	})
	defer proxy.Close()
	bench(b, proxy.URL+"/v1/marketing/leads")
}

// nowhere is a ResponseWriter that keeps nothing.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkDoor is the gateway's own work for a request to a service in its
// process, without sockets.
func BenchmarkDoor(b *testing.B) {
	d := deps(io.Discard)
	d.Local = func(string) http.Handler { return small }
	gw, err := gateway.New(gateway.Config{}, d)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/marketing/leads", nil)
	b.ReportAllocs()
	defer cpu(b)()
	for b.Loop() {
		gw.ServeHTTP(nowhere{http.Header{}}, r)
	}
}

func BenchmarkMatch(b *testing.B) {
	tab := table(b, gateway.Routes())
	u := &url.URL{Path: "/academico/alunos/0192f0c1-2c5e-7cc8-8f4a-000000000001/matriculas"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tab.Match(u); err != nil {
			b.Fatal(err)
		}
	}
}
