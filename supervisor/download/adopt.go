package download

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"qie/supervisor/catalog"
)

// looksMax bounds how many files of other programs are looked at, by name and size.
const looksMax = 200_000

// others finds files of the right size in folders of other programs, which may be the same bytes under another name.
type others struct {
	d    *Downloader
	once sync.Once
	size map[int64][]string
}

func newOthers(d *Downloader) *others { return &others{d: d} }

// find gives where the bytes of a file may lie: by their hash in Hugging Face caches, our own other repositories
// included, and by size anywhere else.
func (o *others) find(f catalog.File) []string {
	var found []string
	for _, root := range append([]string{o.d.o.Cache}, o.d.o.Also...) {
		byHash, _ := filepath.Glob(filepath.Join(globless(root), "models--*", blobs, f.Blob()))
		found = append(found, byHash...)
	}
	if f.Size < blockSize {
		return found // a small file is fetched sooner than found
	}
	o.once.Do(o.index)
	return append(found, o.size[f.Size]...)
}

// globless quotes what Glob would read as a pattern.
func globless(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (o *others) index() {
	o.size = map[int64][]string{}
	looks := 0
	for _, root := range o.d.o.Also {
		_ = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if looks++; looks > looksMax {
				return filepath.SkipAll
			}
			// What cannot be read is not for us.
			if ext := filepath.Ext(path); err != nil || e.IsDir() || ext != weights && ext != weightsGGUF {
				return nil //nolint:nilerr // see above
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				o.size[info.Size()] = append(o.size[info.Size()], path)
			}
			return nil
		})
	}
}

func sizeIs(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// adopt takes a file that another program has fetched, if its hash is the right one: as a second name of the same bytes,
// or as a copy where the disk is another one. A file that is not whole has another hash, and is left alone.
func (p *pull) adopt(ctx context.Context, f catalog.File) (bool, error) {
	for _, path := range p.others.find(f) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		same, err := p.same(ctx, path, f)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err != nil || !same {
			continue
		}
		taken := p.d.ownFile(p.manifest.Repository, f.Blob()+".part")
		if err := os.MkdirAll(filepath.Dir(taken), 0o700); err != nil {
			return false, diskError(err)
		}
		p.discard(f)
		if err := os.Link(path, taken); err != nil {
			if !errors.Is(err, syscall.EXDEV) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EMLINK) {
				return false, diskError(err)
			}
			if err := p.copyOf(ctx, path, taken); err != nil {
				return false, err
			}
			// What was copied is hashed, not what was there before the copy.
			if same, err := p.same(ctx, taken, f); err != nil || !same {
				p.discard(f)
				return false, err
			}
		}
		if err := p.d.place(p.manifest.Repository, f, taken); err != nil {
			return false, err
		}
		p.d.o.Log.Info("adopted", "file", f.Path, "from", path)
		p.verified(f.Size)
		return true, nil
	}
	return false, nil
}

func (p *pull) copyOf(ctx context.Context, from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return diskError(err)
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return diskError(err)
	}
	for err == nil {
		if err = context.Cause(ctx); err == nil {
			_, err = io.CopyN(dst, src, 64*blockSize)
		}
	}
	if errors.Is(err, io.EOF) {
		err = dst.Sync()
	}
	return diskError(errors.Join(err, dst.Close()))
}

// Adopt takes what is found of an entry in the Also folders, and fetches nothing but the list of its files. It gives how
// many bytes were taken.
func (d *Downloader) Adopt(ctx context.Context, e catalog.Entry, report func(Progress)) (int64, error) {
	p := &pull{d: d, report: report, total: e.Bytes, others: newOthers(d)}
	p.tell(StateListing, "")
	m, err := d.resolve(ctx, e, func(why string) { p.tell(StateWaiting, why) })
	if err != nil {
		return 0, err
	}
	p.manifest, p.total = m, m.Bytes()
	missing, err := p.look(ctx)
	if err != nil {
		return 0, err
	}
	var taken int64
	for _, f := range missing {
		unlock, err := d.lock(ctx, m.Repository, f.Blob(), func() { p.tell(StateWaiting, "another program fetches this file") })
		if err != nil {
			return taken, err
		}
		ok, err := p.adopt(ctx, f)
		unlock()
		if err != nil {
			return taken, err
		}
		if ok {
			taken += f.Size
		}
	}
	return taken, nil
}
