// Command gen writes what follows from supervisor/wire/message.go: the Python half of the protocol, the message table
// of PROTOCOL.md and the golden lines that both halves read. It dies on a field type that it does not know, so the
// protocol stays flat. Run it by `go generate ./supervisor/wire`.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"reflect"
	"slices"
	"strings"

	"qie/supervisor/wire"
)

const (
	pythonFile   = "../../pyruntime/src/pyruntime/wire.py"
	protocolFile = "PROTOCOL.md"
	goldenFile   = "testdata/golden.ndjson"
)

func main() {
	log.SetFlags(0)
	docs, err := readDocs("message.go")
	if err != nil {
		log.Fatal(err)
	}
	write(pythonFile, python(docs))
	write(goldenFile, golden())
	old, err := os.ReadFile(protocolFile)
	if err != nil {
		log.Fatal(err)
	}
	head, _, found := strings.Cut(string(old), tableMark)
	if !found {
		log.Fatalf("%s has no line %q", protocolFile, tableMark)
	}
	write(protocolFile, []byte(head+tableMark+"\n"+table(docs)))
}

func write(path string, data []byte) {
	if err := os.WriteFile(path, data, 0o644); err != nil {
		log.Fatal(err)
	}
}

// docs holds the comment of each struct and field, because reflection does not carry comments.
type docs struct {
	types  map[string]string
	fields map[string]string // "Type.Field"
}

func readDocs(path string) (docs, error) {
	d := docs{map[string]string{}, map[string]string{}}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return d, fmt.Errorf("parse messages: %w", err)
	}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			d.types[ts.Name.Name] = oneLine(gen.Doc)
			if st, ok := ts.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					d.fields[ts.Name.Name+"."+f.Names[0].Name] = oneLine(f.Comment)
				}
			}
		}
	}
	return d, nil
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// named is a message with its type name on the line.
type named struct {
	name string
	typ  reflect.Type
}

func sorted(messages map[string]any) []named {
	var out []named
	for name, msg := range messages {
		out = append(out, named{name, reflect.TypeOf(msg)})
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return out
}

func pythonType(t reflect.Type) (hint, zero string) {
	switch t.Kind() {
	case reflect.String:
		return "str", `""`
	case reflect.Int, reflect.Int64:
		return "int", "0"
	case reflect.Float64:
		return "float", "0.0"
	case reflect.Bool:
		return "bool", "False"
	case reflect.Slice:
		item := t.Elem().Name()
		if t.Elem().Kind() != reflect.Struct {
			item, _ = pythonType(t.Elem())
		}
		return "list[" + item + "]", "[]"
	}
	log.Fatalf("the protocol stays flat: no Python type for %s", t)
	return "", ""
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func python(d docs) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `"""The wire between supervisor and worker, as data. Generated from supervisor/wire/message.go by
`+"`go generate ./supervisor/wire`"+`; edit that file. It knows no file descriptor and starts nothing.
"""

import msgspec

VERSION = %d
REQUEST_LINE_MAX = %d
EVENT_LINE_MAX = %d

EXIT_BYE = %d
EXIT_PROTOCOL = %d
EXIT_CONFIG = %d
EXIT_IMPORT = %d
EXIT_INTERNAL = %d
EXIT_OOM = %d
EXIT_GPU_CONTEXT = %d
EXIT_WEIGHTS = %d
EXIT_DISK = %d
EXIT_PARENT_GONE = %d


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """What every request and every event is."""

`, wire.Version, wire.RequestLineMax, wire.EventLineMax, wire.ExitBye, wire.ExitProtocol, wire.ExitConfig,
		wire.ExitImport, wire.ExitInternal, wire.ExitOOM, wire.ExitGPUContext, wire.ExitWeights, wire.ExitDisk,
		wire.ExitParentGone)
	done := map[string]bool{}
	structClass(&b, d, reflect.TypeFor[wire.Envelope](), done)
	requests, events := sorted(wire.Requests), sorted(wire.Events)
	for _, m := range append(slices.Clone(requests), events...) {
		structClass(&b, d, m.typ, done)
	}
	b.WriteString("\n")
	classTable(&b, "REQUESTS", requests)
	b.WriteString("\n")
	classTable(&b, "EVENTS", events)
	b.WriteString("\nTYPE_OF: dict[type[Message], str] = {cls: name for name, cls in {**REQUESTS, **EVENTS}.items()}\n")
	return b.Bytes()
}

func classTable(b *bytes.Buffer, name string, messages []named) {
	fmt.Fprintf(b, "%s: dict[str, type[Message]] = {\n", name)
	for _, m := range messages {
		fmt.Fprintf(b, "    %q: %s,\n", m.name, m.typ.Name())
	}
	b.WriteString("}\n")
}

func structClass(b *bytes.Buffer, d docs, t reflect.Type, done map[string]bool) {
	if done[t.Name()] {
		return
	}
	done[t.Name()] = true
	for i := range t.NumField() {
		if f := t.Field(i).Type; f.Kind() == reflect.Slice && f.Elem().Kind() == reflect.Struct {
			structClass(b, d, f.Elem(), done)
		}
	}
	fmt.Fprintf(b, "\nclass %s(Message, kw_only=True, frozen=True):\n    \"\"\"%s\"\"\"\n", t.Name(), wrap(d.types[t.Name()], 93))
	for i := range t.NumField() {
		f := t.Field(i)
		hint, zero := pythonType(f.Type)
		if i == 0 {
			b.WriteString("\n")
		}
		if comment := d.fields[t.Name()+"."+f.Name]; comment != "" {
			fmt.Fprintf(b, "    # %s\n", comment)
		}
		fmt.Fprintf(b, "    %s: %s = %s\n", jsonName(f), hint, zero)
	}
	b.WriteString("\n")
}

// wrap breaks text into lines of at most width, the later ones indented as a docstring wants them.
func wrap(text string, width int) string {
	var out strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			out.WriteString("\n    ")
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	if strings.Contains(out.String(), "\n") {
		out.WriteString("\n    ")
	}
	return out.String()
}

const tableMark = "<!-- generated from message.go -->"

func table(d docs) string {
	var b strings.Builder
	for _, part := range []struct {
		title    string
		messages map[string]any
	}{{"Supervisor to worker", wire.Requests}, {"Worker to supervisor", wire.Events}} {
		fmt.Fprintf(&b, "\n## %s\n| type | fields | meaning |\n|---|---|---|\n", part.title)
		for _, m := range sorted(part.messages) {
			var fields []string
			for i := range m.typ.NumField() {
				hint, _ := pythonType(m.typ.Field(i).Type)
				fields = append(fields, fmt.Sprintf("`%s` %s", jsonName(m.typ.Field(i)), hint))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.name, strings.Join(fields, ", "), d.types[m.typ.Name()])
		}
	}
	return b.String()
}

// golden writes every message twice: with each field set, and with none.
func golden() []byte {
	var b bytes.Buffer
	seq := int64(0)
	for _, messages := range []map[string]any{wire.Requests, wire.Events} {
		for _, m := range sorted(messages) {
			for _, full := range []bool{true, false} {
				seq++
				v := reflect.New(m.typ).Elem()
				fill(v, full)
				env := wire.Envelope{Seq: seq, Gen: 3, MS: 1234}
				if full {
					env.Job, env.Attempt = "4f2a1c3e-0b5d-4e6f-8a9b-0c1d2e3f4a5b", 2
				}
				line, err := wire.Encode(env, v.Interface())
				if err != nil {
					log.Fatal(err)
				}
				b.Write(line)
			}
		}
	}
	return b.Bytes()
}

// fill sets every field to a value that a lossy half would get wrong: text outside ASCII, large numbers, fractions.
func fill(v reflect.Value, full bool) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Slice {
			f.Set(reflect.MakeSlice(f.Type(), 0, 2))
		}
		if !full {
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("größer 把照片 😀 \"quoted\"\n")
		case reflect.Int, reflect.Int64:
			f.SetInt(9007199254740991 >> (i % 8))
		case reflect.Float64:
			f.SetFloat(0.1 + float64(i))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			item := reflect.New(f.Type().Elem()).Elem()
			if item.Kind() == reflect.Struct {
				fill(item, true)
			} else {
				item.SetString("a/ü.png")
			}
			f.Set(reflect.Append(f, item))
		}
	}
}
