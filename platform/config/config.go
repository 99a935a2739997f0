// Package config fills a configuration struct from what people give: flag over
// environment over file over default, one dotted key for all.
//
// A field is described by its tags: key (one segment; nesting gives the dotted
// key), default (as text) and help (meaning and unit). Types: string, bool, int,
// int64, float64, time.Duration, Secret, []string, []time.Duration,
// map[string]string (any sub-key) and nested structs.
//
// Nothing is required and nothing is ignored: an unknown key, a value that
// cannot be read or a rule that is broken is a Problem with the place it came
// from and a value that would work; all problems are told at once.
package config

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Sources is where values come from, weakest first. Nil or empty parts are skipped.
type Sources struct {
	File string            // path of a YAML file; a missing file is a problem only if Must
	Must bool              // the file was asked for by name and must exist
	Env  []string          // "NAME=value", as os.Environ gives
	Set  map[string]string // by dotted key, from flags
	Flag map[string]string // dotted key → flag it came from, for messages ("--listen")
}

// EnvPrefix begins the name of every environment variable of ours.
const EnvPrefix = "TRAMA_"

// foreignEnv are variables of ours that are not configuration.
var foreignEnv = []string{"TRAMA_CRASH_FILE", "TRAMA_TEST_", "TRAMA_TOKEN"}

// Checker is a configuration with rules of its own, with keys relative to it.
type Checker interface{ Check() []Problem }

// Field is one leaf of a configuration, for printing and documentation.
type Field struct {
	Key     string
	Default string
	Help    string
	Value   string // current value as text; a secret is hidden
	Where   string // where the value came from: "default", "trama.yaml:3", ...
	Type    string
	set     func(string) error
	secret  bool
}

// Env gives the environment variable of the field: payments.fraud.maxPerCard is
// TRAMA_PAYMENTS_FRAUD_MAX_PER_CARD.
func (f Field) Env() string { return envName(f.Key) }

// Load fills target (a pointer to a struct) and gives its fields with their
// origin, sorted by key, and every problem found.
func Load(target any, src Sources) ([]Field, []Problem) {
	l := &loader{byKey: map[string]*Field{}, byEnv: map[string]string{}, maps: map[string]reflect.Value{}}
	l.collect("", reflect.ValueOf(target).Elem())
	for _, f := range l.fields {
		if err := f.set(f.Default); err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", f.Key, err)) // a bug in the tags; the test of the defaults finds it
		}
		f.Where = "default"
	}
	l.file(src)
	l.env(src.Env)
	l.flags(src)
	l.check("", reflect.ValueOf(target).Elem())
	fields := make([]Field, 0, len(l.fields))
	for _, f := range l.fields {
		fields = append(fields, *f)
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].Key < fields[j].Key })
	return fields, l.problems
}

type loader struct {
	fields   []*Field
	byKey    map[string]*Field
	byEnv    map[string]string
	maps     map[string]reflect.Value
	problems []Problem
}

// collect walks the struct and makes a Field of every leaf.
func (l *loader) collect(prefix string, v reflect.Value) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		key, tagged := sf.Tag.Lookup("key")
		if !tagged {
			continue
		}
		key, fv := prefix+key, v.Field(i)
		switch {
		case fv.Kind() == reflect.Struct:
			l.collect(key+".", fv)
		case fv.Kind() == reflect.Map:
			fv.Set(reflect.MakeMap(fv.Type()))
			l.maps[key] = fv
		default:
			f := &Field{Key: key, Default: sf.Tag.Get("default"), Help: sf.Tag.Get("help"), Type: typeName(fv), secret: fv.Type() == reflect.TypeFor[Secret]()}
			f.set = func(text string) error {
				if err := assign(fv, text); err != nil {
					return err
				}
				if f.Value = text; f.secret {
					f.Value = Secret(text).String()
				}
				return nil
			}
			l.fields = append(l.fields, f)
			l.byKey[key] = f
			l.byEnv[envName(key)] = key
		}
	}
}

// give sets one key from one place.
func (l *loader) give(key, value, where string) {
	f, ok := l.byKey[key]
	if !ok {
		if f = l.mapped(key); f == nil {
			l.problems = append(l.problems, Problem{Key: key, Where: where, Rule: "unknown key", Try: l.nearest(key)})
			return
		}
	}
	if err := f.set(value); err != nil {
		p := Problem{Key: key, Value: value, Where: where, Rule: err.Error(), Try: f.Default}
		if f.secret {
			p.Value = ""
		}
		l.problems = append(l.problems, p)
		return
	}
	f.Where = where
}

// mapped makes a field of a sub-key of a map, nil when key is in none.
func (l *loader) mapped(key string) *Field {
	for name, m := range l.maps {
		sub, ok := strings.CutPrefix(key, name+".")
		if !ok || sub == "" {
			continue
		}
		f := &Field{Key: key, Type: "string"}
		f.set = func(text string) error {
			m.SetMapIndex(reflect.ValueOf(sub), reflect.ValueOf(text))
			f.Value = text
			return nil
		}
		l.fields = append(l.fields, f)
		l.byKey[key] = f
		return f
	}
	return nil
}

func (l *loader) env(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || foreign(name) {
			continue
		}
		key, ok := l.byEnv[name]
		if !ok {
			key = l.mapKey(name)
		}
		if key == "" {
			l.problems = append(l.problems, Problem{Key: name, Where: "environment", Rule: "unknown variable",
				Try: envName(l.nearest(strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, EnvPrefix), "_", "."))))})
			continue
		}
		l.give(key, value, name)
	}
}

func (l *loader) mapKey(name string) string {
	for m := range l.maps {
		if sub, ok := strings.CutPrefix(name, envName(m)+"_"); ok && sub != "" {
			return m + "." + strings.ToLower(sub)
		}
	}
	return ""
}

func (l *loader) flags(src Sources) {
	keys := make([]string, 0, len(src.Set))
	for k := range src.Set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		where := src.Flag[k]
		if where == "" {
			where = "--set"
		}
		l.give(k, src.Set[k], where)
	}
}

// check asks every part of the configuration for its own rules.
func (l *loader) check(prefix string, v reflect.Value) {
	if c, ok := v.Addr().Interface().(Checker); ok {
		for _, p := range c.Check() {
			p.Key = prefix + p.Key
			if f := l.byKey[p.Key]; f != nil {
				p.Where = f.Where
				if p.Value == "" {
					p.Value = f.Value
				}
				if f.secret {
					p.Value = ""
				}
			}
			l.problems = append(l.problems, p)
		}
	}
	for i := range v.NumField() {
		if key, ok := v.Type().Field(i).Tag.Lookup("key"); ok && v.Field(i).Kind() == reflect.Struct {
			l.check(prefix+key+".", v.Field(i))
		}
	}
}

// nearest gives the known key that looks most like a wrong one.
func (l *loader) nearest(key string) string {
	best, score := "", 1<<30
	for known := range l.byKey {
		if d := distance(strings.ToLower(known), strings.ToLower(key)); d < score || d == score && known < best {
			best, score = known, d
		}
	}
	return best
}

// distance is the edit distance of two short texts.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func foreign(name string) bool {
	for _, f := range foreignEnv {
		if strings.HasPrefix(name, f) {
			return true
		}
	}
	return false
}

func envName(key string) string {
	var b strings.Builder
	b.WriteString(EnvPrefix)
	for i, r := range key {
		switch {
		case r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r) && i > 0:
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

func typeName(v reflect.Value) string {
	switch v.Interface().(type) {
	case time.Duration:
		return "duration"
	case []time.Duration:
		return "list of durations"
	case []string:
		return "list"
	case Secret:
		return "secret"
	}
	return v.Kind().String()
}

// assign reads text into a leaf. An empty text is the zero value.
func assign(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	case []time.Duration:
		var list []time.Duration
		for _, part := range split(text) {
			d, err := parseDuration(part)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		v.Set(reflect.ValueOf(list))
		return nil
	case []string:
		v.Set(reflect.ValueOf(split(text)))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		return parsed(text, "must be true or false", func() error { b, err := strconv.ParseBool(text); v.SetBool(b); return err })
	case reflect.Int, reflect.Int64:
		return parsed(text, "must be a whole number", func() error { n, err := strconv.ParseInt(text, 10, 64); v.SetInt(n); return err })
	case reflect.Float64:
		return parsed(text, "must be a number", func() error { n, err := strconv.ParseFloat(text, 64); v.SetFloat(n); return err })
	default:
		return fmt.Errorf("has the unsupported type %s", v.Type())
	}
	return nil
}

func parsed(text, rule string, parse func() error) error {
	if text == "" {
		return nil
	}
	if parse() != nil {
		return fmt.Errorf("%s", rule)
	}
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	if text == "" || text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("must be a duration with its unit, like 30s, 5m or 72h")
	}
	return d, nil
}

func split(text string) []string {
	var out []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// String gives the problem as one line for a person.
func (p Problem) String() string {
	line := p.Key
	if p.Where == "--"+p.Key { // a flag of the key's own says it all
		line = p.Where
	} else if p.Where != "" {
		line = p.Where + ": " + line
	}
	if p.Value != "" {
		line += fmt.Sprintf(" is %q", p.Value)
	}
	line += ": " + p.Rule
	if p.Try != "" {
		line += fmt.Sprintf(" (try %s)", p.Try)
	}
	return line
}

// Exists says whether a file can be read as configuration.
func Exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
