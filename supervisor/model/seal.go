package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
)

// sealFile holds what the files of a model looked like when their hashes were right.
const sealFile = ".verified.json"

// look is what changes when a file is written: hashing gigabytes at every start would cost minutes.
type look struct {
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime_ns"`
	Inode uint64 `json:"inode"`
}

func lookOf(path string) (look, error) {
	info, err := os.Stat(path)
	if err != nil {
		return look{}, err
	}
	l := look{Size: info.Size(), MTime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		l.Inode = sys.Ino
	}
	return l, nil
}

// looks of all files; an error is a file that is not there.
func looks(dir string, list manifest) (map[string]look, error) {
	all := map[string]look{}
	for _, f := range list.Files {
		l, err := lookOf(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			return nil, err
		}
		all[f.Path] = l
	}
	return all, nil
}

// sealed tells whether no file was written since its hash was right.
func sealed(dir string, list manifest) bool {
	data, err := os.ReadFile(filepath.Join(dir, sealFile))
	if err != nil {
		return false
	}
	var then map[string]look
	if json.Unmarshal(data, &then) != nil {
		return false
	}
	now, err := looks(dir, list)
	if err != nil || len(then) != len(now) {
		return false
	}
	for path, l := range now {
		if then[path] != l {
			return false
		}
	}
	return true
}

// seal remembers the files as they are. It is only a saving: without it they are hashed once more.
func seal(dir string, list manifest) {
	now, err := looks(dir, list)
	if err != nil {
		return
	}
	data, err := json.Marshal(now)
	if err != nil {
		return
	}
	_ = os.WriteFile(filepath.Join(dir, sealFile), data, 0o600)
}
