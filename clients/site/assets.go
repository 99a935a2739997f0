package site

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets serves the embedded files under addresses that hold a digest of their
// content, so that browsers may keep them for ever.
type assets struct {
	address map[string]string // "trama.css" → "/ativos/trama.1a2b3c4d5e6f.css"
	content map[string][]byte // "trama.1a2b3c4d5e6f.css" → content
}

func newAssets() (*assets, error) {
	a := &assets{address: map[string]string{}, content: map[string][]byte{}}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	for _, e := range entries {
		body, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(e.Name())
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.address[e.Name()] = "/ativos/" + hashed
		a.content[hashed] = body
	}
	return a, nil
}

// url gives the address of an asset; an unknown name is a mistake in a template.
func (a *assets) url(name string) (string, error) {
	u, ok := a.address[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return u, nil
}

// ServeHTTP serves one asset.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	body, ok := a.content[name]
	if !ok {
		http.Error(w, "Não existe mais; recarregue a página.", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", mimeType(name))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// mimeType does not ask the machine's own tables, which differ.
func mimeType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
