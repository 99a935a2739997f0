package mailbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

const (
	maxBody  = 4 << 20 // of a mail that is shown, in bytes
	maxDepth = 8       // of parts within parts
)

// parse gives the first plain text and the first HTML of a mail.
func parse(r io.Reader) (text, html string, err error) {
	m, err := mail.ReadMessage(io.LimitReader(r, maxBody))
	if err != nil {
		return "", "", fmt.Errorf("mailbox: %w", err)
	}
	var p parts
	if err := p.add(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0); err != nil {
		return "", "", fmt.Errorf("mailbox: %w", err)
	}
	return p.text, p.html, nil
}

type parts struct{ text, html string }

// add takes one part, or what is within it.
func (p *parts) add(contentType, encoding string, body io.Reader, depth int) error {
	if contentType == "" {
		contentType = "text/plain"
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return p.within(multipart.NewReader(body, params["boundary"]), depth+1)
	}
	target := &p.text
	switch {
	case mediaType == "text/html":
		target = &p.html
	case mediaType != "text/plain":
		return nil
	}
	content, err := io.ReadAll(decode(encoding, body))
	if err == nil && *target == "" {
		*target = strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	return err
}

func (p *parts) within(r *multipart.Reader, depth int) error {
	if depth > maxDepth {
		return errors.New("parts are nested too deep")
	}
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.add(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth); err != nil {
			return err
		}
	}
}

func decode(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	default:
		return r
	}
}
