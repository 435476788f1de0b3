package supervisor_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the direction of dependencies: each package with the packages of this module that it may import. Test
// files are free, but for cmd.
var mayImport = map[string]string{
	// 0: vocabulary and machine
	"supervisor/job":     "",
	"supervisor/wire":    "",
	"supervisor/catalog": "",
	"supervisor/model":   "supervisor/job supervisor/catalog",
	"supervisor/host":    "supervisor/job",
	"supervisor/config":  "supervisor/job",
	"supervisor/watch":   "",
	// failpoint is where tests kill the program.
	"supervisor/failpoint": "",
	// picture refuses with typed errors and tells notices.
	"supervisor/picture":  "supervisor/job",
	"web":                 "",
	"pyruntime":           "",
	"supervisor/wire/gen": "supervisor/wire",
	// 1
	"supervisor/event":     "supervisor/job",
	"supervisor/folder":    "supervisor/job supervisor/picture",
	"supervisor/original":  "supervisor/job",
	"supervisor/service":   "supervisor/job",
	"supervisor/store":     "supervisor/job supervisor/failpoint",
	"supervisor/sched":     "supervisor/job",
	"supervisor/plan":      "supervisor/job supervisor/model supervisor/host",
	"supervisor/python":    "supervisor/job supervisor/host supervisor/wire pyruntime",
	"supervisor/download":  "supervisor/job supervisor/catalog supervisor/host supervisor/failpoint",
	"supervisor/preflight": "supervisor/job supervisor/host supervisor/model supervisor/plan supervisor/python supervisor/config",
	// 2
	"supervisor/doctor": "supervisor/catalog supervisor/job supervisor/host supervisor/model supervisor/python supervisor/config supervisor/preflight " +
		"supervisor/plan supervisor/wire",
	"supervisor/worker":            "supervisor/job supervisor/event supervisor/plan supervisor/wire supervisor/host",
	"supervisor/worker/fakeworker": "supervisor/wire",
	// 3
	"supervisor": "supervisor/job supervisor/event supervisor/store supervisor/sched supervisor/plan supervisor/model " +
		"supervisor/picture supervisor/folder supervisor/original supervisor/host supervisor/watch supervisor/worker supervisor/failpoint " +
		"supervisor/catalog supervisor/download supervisor/preflight",
	// 4
	"supervisor/supervisortest": "supervisor supervisor/job supervisor/event supervisor/store supervisor/model " +
		"supervisor/host supervisor/worker supervisor/worker/fakeworker",
	"api": "supervisor supervisor/catalog supervisor/job supervisor/event supervisor/store supervisor/model supervisor/config " +
		"supervisor/doctor supervisor/preflight supervisor/picture supervisor/folder web",
}

// free packages may import anything: they are on top.
func free(pkg string) bool { return pkg == "cmd" || strings.HasPrefix(pkg, "cmd/") }

func TestImports_GoDownward(t *testing.T) {
	const root = ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if free(pkg) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			target, ours := strings.CutPrefix(imported, "qie/")
			if !ours {
				continue
			}
			if why := refused(pkg, target, strings.HasSuffix(name, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", rel, target, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func refused(pkg, target string, test bool) string {
	if free(target) {
		return "nothing imports cmd"
	}
	if test {
		return ""
	}
	if target == "supervisor/worker/fakeworker" && pkg != "supervisor/supervisortest" {
		return "the fake worker is for tests"
	}
	if pkg == "supervisor/supervisortest" || target != "supervisor/supervisortest" {
		parent := pkg
		for ; parent != "."; parent = filepath.ToSlash(filepath.Dir(parent)) {
			allowed, known := mayImport[parent]
			if !known {
				continue
			}
			for _, a := range strings.Fields(allowed) {
				if a == target || strings.HasPrefix(target, a+"/") && parent != pkg {
					return ""
				}
			}
			if parent == pkg {
				return "the table in imports_test.go does not allow it"
			}
			// A part of a known package may use it and what it may use.
			if target == parent || strings.HasPrefix(target, parent+"/") {
				return ""
			}
			return "the table in imports_test.go does not allow it"
		}
		return "the package is not in the table of imports_test.go"
	}
	return "supervisortest is for tests"
}
