package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"qie/supervisor/job"
)

// manifest lists every file of a model with its size and sha256.
type manifest struct {
	Files []manifestEntry `json:"files"`
}

type manifestEntry struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Unpack writes the embedded model to home/models/demo-<hash> and returns that directory. It is written under another
// name, verified, and renamed, so a killed unpack leaves nothing that looks whole. A directory that is already there is
// used when its files are the ones that were verified; damaged or changed ones are written again.
func Unpack(source fs.FS, home string) (string, error) {
	data, err := fs.ReadFile(source, manifestFile)
	if err != nil {
		return "", fmt.Errorf("embedded model: %w", err)
	}
	list, err := parseManifest(data)
	if err != nil {
		return "", err
	}
	dir := unpackedDir(data, home)
	if sealed(dir, list) {
		return dir, nil
	}
	if Verify(dir) == nil { // moved, copied, or of a qie that did not seal
		seal(dir, list)
		return dir, nil
	}
	folder := filepath.Dir(dir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("models folder: %w", err)
	}
	part, err := os.MkdirTemp(folder, ".demo-*")
	if err != nil {
		return "", fmt.Errorf("models folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(part) }()
	for _, f := range list.Files {
		if err := unpackFile(source, f, part); err != nil {
			return "", diskError(err)
		}
	}
	if err := writeFile(filepath.Join(part, manifestFile), data); err != nil {
		return "", diskError(err)
	}
	// A damaged directory of the same name makes room; nothing in it was the user's.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove a damaged model: %w", err)
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("place the model: %w", err)
	}
	seal(dir, list)
	return dir, nil
}

// Unpacked is where Unpack puts the embedded model.
func Unpacked(source fs.FS, home string) (string, error) {
	data, err := fs.ReadFile(source, manifestFile)
	if err != nil {
		return "", fmt.Errorf("embedded model: %w", err)
	}
	return unpackedDir(data, home), nil
}

func unpackedDir(manifest []byte, home string) string {
	sum := sha256.Sum256(manifest)
	return filepath.Join(home, "models", "demo-"+hex.EncodeToString(sum[:6]))
}

// unpackFile copies one file and compares what was read with the manifest on the way.
func unpackFile(source fs.FS, f manifestEntry, to string) error {
	in, err := source.Open(f.Path)
	if err != nil {
		return fmt.Errorf("embedded model: %w", err)
	}
	defer func() { _ = in.Close() }()
	path := filepath.Join(to, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, hash), in)
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil && (n != f.Size || hex.EncodeToString(hash.Sum(nil)) != f.SHA256) {
		err = job.Errorf(job.CodeWeightsCorrupt, "embedded model: %s does not match the manifest", f.Path)
	}
	return err
}

func writeFile(path string, data []byte) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Verify reads every file that the manifest of dir lists and compares its hash. A model without a manifest passes when
// it loads: its hashes are not known here.
func Verify(dir string) error {
	list, err := readManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := Load(dir)
		return err
	}
	if err != nil {
		return err
	}
	if err := sizesFit(dir, list); err != nil {
		return err
	}
	// A LoRA is weights as all others: one that the manifest does not know has no hash to be held to.
	spec, err := Load(dir)
	if err != nil {
		return err
	}
	for _, l := range spec.LoRAs {
		if !slices.ContainsFunc(list.Files, func(f manifestEntry) bool { return f.Path == path.Clean(l.File) }) {
			return job.Errorf(job.CodeWeightsCorrupt, "%s of LoRA %s is not in %s", l.File, l.ID, manifestFile)
		}
	}
	for _, f := range list.Files {
		sum, err := HashFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			return fmt.Errorf("verify model: %w", err)
		}
		if sum != f.SHA256 {
			return job.Errorf(job.CodeWeightsCorrupt, "%s in %s is damaged: its hash is wrong", f.Path, dir)
		}
	}
	return nil
}

// HashFile is the sha256 of a file in hex.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func sizesFit(dir string, list manifest) error {
	for _, f := range list.Files {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if errors.Is(err, fs.ErrNotExist) {
			return job.Errorf(job.CodeWeightsMissing, "%s is missing in %s", f.Path, dir)
		}
		if err != nil {
			return fmt.Errorf("model file: %w", err)
		}
		if info.Size() != f.Size {
			return job.Errorf(job.CodeWeightsCorrupt, "%s in %s has %d bytes instead of %d", f.Path, dir, info.Size(), f.Size)
		}
	}
	return nil
}

func readManifest(dir string) (manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return manifest{}, err
	}
	return parseManifest(data)
}

func parseManifest(data []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, job.Errorf(job.CodeWeightsCorrupt, "%s cannot be read: %w", manifestFile, err)
	}
	if len(m.Files) == 0 {
		return m, job.Errorf(job.CodeWeightsCorrupt, "%s lists no file", manifestFile)
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || f.Path == manifestFile {
			return m, job.Errorf(job.CodeWeightsCorrupt, "%s names the path %q", manifestFile, f.Path)
		}
	}
	return m, nil
}

func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return job.Errorf(job.CodeDiskFull, "the disk is full: the model does not fit (%w)", err)
	}
	return err
}
