// Package gate compares two versions of a payload's JSON Schema and names what
// would break somebody: a consumer that reads events of the new one with the
// words of the old, or a reader of old events with the words of the new. Adding
// an optional property is the only change that breaks nobody; texts for people
// (title, description) may change freely.
package gate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Breaks lists the breaking differences between the released schema and the
// present one, each with the path of the property; none when there are none.
func Breaks(released, present []byte) ([]string, error) {
	var a, b map[string]any
	if err := json.Unmarshal(released, &a); err != nil {
		return nil, fmt.Errorf("released schema: %w", err)
	}
	if err := json.Unmarshal(present, &b); err != nil {
		return nil, fmt.Errorf("present schema: %w", err)
	}
	c := comparison{old: a, new: b}
	if err := c.compare("", a, b); err != nil {
		return nil, err
	}
	slices.Sort(c.found)
	return c.found, nil
}

type comparison struct {
	old, new map[string]any // whole documents, for references
	found    []string
}

// silent keywords say nothing to a program.
var silent = []string{"$schema", "$id", "$defs", "$ref", "title", "description", "properties", "required", "items"}

func (c *comparison) compare(path string, a, b map[string]any) error {
	a, err := resolve(c.old, a)
	if err != nil {
		return err
	}
	if b, err = resolve(c.new, b); err != nil {
		return err
	}
	for _, keyword := range keys(a, b) {
		if !slices.Contains(silent, keyword) && !reflect.DeepEqual(a[keyword], b[keyword]) {
			c.report(path, "%s was %v, is %v", keyword, told(a[keyword]), told(b[keyword]))
		}
	}
	before, after := texts(a["required"]), texts(b["required"])
	for _, name := range before {
		if !slices.Contains(after, name) {
			c.report(path+"/"+name, "was required, is not")
		}
	}
	for _, name := range after {
		if !slices.Contains(before, name) {
			c.report(path+"/"+name, "is newly required")
		}
	}
	oldProperties, _ := a["properties"].(map[string]any)
	newProperties, _ := b["properties"].(map[string]any)
	for _, name := range keys(oldProperties, nil) {
		x, _ := oldProperties[name].(map[string]any)
		y, ok := newProperties[name].(map[string]any)
		if !ok {
			c.report(path+"/"+name, "was removed")
			continue
		}
		if err := c.compare(path+"/"+name, x, y); err != nil {
			return err
		}
	}
	x, hadItems := a["items"].(map[string]any)
	y, hasItems := b["items"].(map[string]any)
	switch {
	case hadItems && hasItems:
		return c.compare(path+"/*", x, y)
	case hadItems != hasItems:
		c.report(path, "items came or went")
	}
	return nil
}

func (c *comparison) report(path, format string, args ...any) {
	if path == "" {
		path = "/"
	}
	c.found = append(c.found, path+" "+fmt.Sprintf(format, args...))
}

// resolve follows references within the document ("#/$defs/Dinheiro"); what
// stands beside a reference goes with it.
func resolve(doc, schema map[string]any) (map[string]any, error) {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema, nil
	}
	name, ok := strings.CutPrefix(ref, "#/$defs/")
	defs, _ := doc["$defs"].(map[string]any)
	target, found := defs[name].(map[string]any)
	if !ok || !found {
		return nil, fmt.Errorf("%s leads nowhere", ref)
	}
	whole := map[string]any{}
	for k, v := range target {
		whole[k] = v
	}
	for k, v := range schema {
		if k != "$ref" {
			whole[k] = v
		}
	}
	return resolve(doc, whole)
}

func keys(a, b map[string]any) []string {
	var all []string
	for _, m := range []map[string]any{a, b} {
		for k := range m {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	slices.Sort(all)
	return all
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, _ := item.(string)
		out = append(out, s)
	}
	return out
}

func told(v any) any {
	if v == nil {
		return "absent"
	}
	return v
}
