package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file reads the YAML file, giving each value the line it stands on.
func (l *loader) file(src Sources) {
	if src.File == "" {
		return
	}
	name := filepath.Base(src.File)
	text, err := os.ReadFile(src.File)
	if errors.Is(err, fs.ErrNotExist) && !src.Must {
		return
	}
	if err != nil {
		var pe *fs.PathError // says the path again
		if errors.As(err, &pe) {
			err = pe.Err
		}
		l.problems = append(l.problems, Problem{Key: src.File, Rule: "cannot be read: " + err.Error()})
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		l.problems = append(l.problems, Problem{Key: name, Rule: strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	if len(doc.Content) > 0 {
		l.node(name, "", doc.Content[0])
	}
}

func (l *loader) node(file, key string, n *yaml.Node) {
	where := file + ":" + strconv.Itoa(n.Line)
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			full := name.Value
			if key != "" {
				full = key + "." + name.Value
			}
			if first, twice := seen[full]; twice {
				l.problems = append(l.problems, Problem{Key: full, Where: file + ":" + strconv.Itoa(name.Line),
					Rule: "stands twice, first on line " + strconv.Itoa(first)})
				continue
			}
			seen[full] = name.Line
			l.node(file, full, value)
		}
	case yaml.SequenceNode:
		var parts []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				l.problems = append(l.problems, Problem{Key: key, Where: where, Rule: "must be a list of plain values"})
				return
			}
			parts = append(parts, item.Value)
		}
		l.give(key, strings.Join(parts, ","), where)
	case yaml.ScalarNode:
		if key == "" {
			l.problems = append(l.problems, Problem{Key: file, Where: where, Rule: "must be a mapping of keys to values"})
			return
		}
		if n.Tag == "!!null" && l.isGroup(key) {
			return
		}
		l.give(key, n.Value, where)
	case yaml.AliasNode:
		l.node(file, key, n.Alias)
	}
}

// isGroup says whether keys begin with key: an empty group in the file is fine.
func (l *loader) isGroup(key string) bool {
	for known := range l.byKey {
		if strings.HasPrefix(known, key+".") {
			return true
		}
	}
	_, isMap := l.maps[key]
	return isMap
}
