package supervisor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"qie/supervisor/job"
	"qie/supervisor/model"
	"qie/supervisor/picture"
	"qie/supervisor/plan"
	"qie/supervisor/store"
)

// imagesMax bounds one request whatever the model takes.
const imagesMax = 3

// Upload is a picture in the spool. Submit consumes it; whoever does not submit it discards it.
type Upload struct {
	Name   string // as sent, without folders
	SHA256 string
	Bytes  int64

	spool string
	store *store.Store
}

// Discard drops the upload; one that was consumed is gone already.
func (u Upload) Discard() {
	if u.store != nil {
		u.store.RemoveSpool(u.spool)
	}
}

// NewUpload streams a picture into the spool and looks at its first bytes. What is no picture, or is too large, is
// refused, and nothing of it stays.
func (s *Supervisor) NewUpload(ctx context.Context, name string, r io.Reader) (Upload, error) {
	f, spool, err := s.store.NewSpool()
	if err != nil {
		return Upload{}, err
	}
	u := Upload{Name: cleanName(name), spool: spool, store: s.store}
	hash := sha256.New()
	u.Bytes, err = io.Copy(io.MultiWriter(f, hash), io.LimitReader(&untilDone{ctx, r}, UploadBytesMax+1))
	switch {
	case err != nil:
		err = uploadError(err)
	case u.Bytes > UploadBytesMax:
		err = job.Errorf(job.CodeImageTooLarge, "the image %q has more than %d MB", u.Name, UploadBytesMax>>20)
	case u.Bytes == 0:
		err = job.Errorf(job.CodeImageBroken, "the image %q is empty", u.Name)
	default:
		_, _, _, err = picture.Sniff(f)
	}
	if closeErr := f.Close(); err == nil {
		err = store.DiskError(closeErr)
	}
	if err != nil {
		u.Discard()
		return Upload{}, err
	}
	u.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return u, nil
}

// uploadError keeps what the caller's reader or the disk said in words.
func uploadError(err error) error {
	var typed *job.Error
	if errors.As(err, &typed) {
		return err
	}
	if full := store.DiskError(err); errors.As(full, &typed) {
		return full
	}
	return fmt.Errorf("receive the image: %w", err)
}

// untilDone ends a read when ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// cleanName keeps the last part of a file name, without what a log or a page could stumble over.
func cleanName(name string) string {
	name = filepath.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if r := []rune(name); len(r) > 120 {
		name = string(r[:120])
	}
	if name == "." || name == "/" {
		return ""
	}
	return name
}

// Submit makes a job of a recipe and its pictures. When it returns, the job and its files are on the disk, and it
// will have exactly one end. The uploads are consumed, also when it fails.
func (s *Supervisor) Submit(ctx context.Context, sub Submission) (job.Job, error) {
	defer discardAll(sub)
	// Without the model nobody knows what a recipe may ask. It takes moments: the demo is unpacked, a large one looked at.
	select {
	case <-s.modelKnown:
	case <-ctx.Done():
		return job.Job{}, context.Cause(ctx)
	}
	spec, err := s.checkSubmission(sub)
	if err != nil {
		return job.Job{}, err
	}
	if err := s.reserve(); err != nil {
		return job.Job{}, err
	}
	j, err := s.insert(ctx, sub, spec)
	if err != nil {
		s.pending.Add(-1)
		return job.Job{}, err
	}
	return j, nil
}

// discardAll drops the uploads of a submission; those that were placed are gone already.
func discardAll(sub Submission) {
	for _, u := range sub.Uploads {
		u.Discard()
	}
	if sub.Mask != nil {
		sub.Mask.Discard()
	}
}

// originalMask is the untouched upload of a mask.
const originalMask = "original-mask"

// originalFile is the untouched upload n, from 1.
func originalFile(n int) string { return fmt.Sprintf("original-%d", n) }

// originals names the untouched uploads of a job, and how they are called outside of its folder: the same photo of many
// jobs is kept once.
func originals(j job.Job) []store.Original {
	var list []store.Original
	for n, image := range j.Images {
		ext := filepath.Ext(image.Name)
		stem := strings.TrimLeft(strings.TrimSuffix(image.Name, ext), ".")
		if stem == "" {
			stem = "photo"
		}
		list = append(list, store.Original{File: originalFile(n + 1), Name: fmt.Sprintf("%s-%.16s%s", stem, image.SHA256, ext)})
	}
	return append(list, store.Original{File: originalMask, Name: "mask-" + string(j.ID)})
}

// checkSubmission refuses what can be refused before a picture is decoded.
func (s *Supervisor) checkSubmission(sub Submission) (model.Spec, error) {
	spec, here := s.specFor(sub.Recipe)
	if err := sub.Recipe.Validate(); err != nil {
		return spec, err
	}
	switch {
	case len(sub.Uploads) == 0:
		return spec, job.Errorf(job.CodeImageMissing, "an edit needs a picture: send at least one image")
	case len(sub.Uploads) > imagesMax:
		return spec, job.Errorf(job.CodeTooManyImages, "%d images were sent, the limit is %d", len(sub.Uploads), imagesMax)
	case spec.ID == "":
		return spec, s.notReady()
	case !here && !s.coming(spec.ID):
		return spec, job.Errorf(job.CodeModelNotInstalled, "%s is not on this machine", spec.Name).
			WithHint("fetch it with: qie pull " + spec.ID)
	}
	// Sizes do not matter yet: names and numbers do.
	probe := make([]job.Image, len(sub.Uploads))
	for i := range probe {
		probe[i] = job.Image{Width: 512, Height: 512}
	}
	_, err := plan.Make(sub.Recipe, probe, spec, 0)
	return spec, err
}

func (s *Supervisor) insert(ctx context.Context, sub Submission, spec model.Spec) (job.Job, error) {
	id := job.NewID()
	if err := s.store.NewFolder(id); err != nil {
		return job.Job{}, err
	}
	kept := false
	defer func() {
		if !kept {
			if err := s.store.RemoveFiles(id); err != nil {
				s.log.Error("remove a refused job", "job", id, "err", err)
			}
		}
	}()
	j := job.Job{ID: id, State: job.Queued, Recipe: sub.Recipe, Parent: sub.Parent, Images: []job.Image{}, Notices: []job.Notice{},
		Timings: map[string]float64{}}
	if err := s.placeImages(ctx, &j, sub); err != nil {
		return j, err
	}
	seed := drawSeed()
	p, err := planOf(j, spec, seed)
	if err != nil {
		return j, err
	}
	j.Steps = p.Steps
	for _, n := range p.Notices {
		j.Notices = noticed(j.Notices, n)
	}
	if spec.Dir == "" {
		j.Notices = noticed(j.Notices, job.Notice{Code: noticeWaits, Message: spec.Name + " is being fetched; this edit starts when it is here"})
	}
	recipe, err := json.MarshalIndent(sub.Recipe, "", "  ")
	if err != nil {
		return j, fmt.Errorf("encode recipe: %w", err)
	}
	if err := s.store.WriteFile(id, store.RecipeFile, recipe); err != nil {
		return j, err
	}
	if err := s.store.Settle(id); err != nil {
		return j, err
	}
	j.CreatedAt = s.cfg.Now().UTC().Truncate(time.Millisecond)
	row := store.Row{Job: j, Seed: seed}
	if err := s.store.Insert(ctx, &row); err != nil {
		return j, err
	}
	kept = true
	s.store.Keep(id)
	j.Parent, j.Photo = row.Job.Parent, row.Job.Photo
	// The job is acknowledged by the row. In the view before the loop knows it: Job must find it at once.
	s.mu.Lock()
	s.view.jobs[id] = j
	s.mu.Unlock()
	ready := time.Now()
	row.Job.Timings = map[string]float64{} // the loop's own
	s.inbox.put(func() {
		e := &entry{Row: row, ready: ready}
		s.rows[id] = e
		s.publish(e)
	})
	return s.Job(ctx, id)
}

// placeImages turns every upload into a picture that the worker can trust, and keeps the untouched one beside it.
func (s *Supervisor) placeImages(ctx context.Context, j *job.Job, sub Submission) error {
	select {
	case s.decodes <- struct{}{}:
		defer func() { <-s.decodes }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i, u := range sub.Uploads {
		info, err := s.placeImage(j, u, store.InputFile(i+1), originalFile(i+1))
		if err != nil {
			return err
		}
		j.Images = append(j.Images, job.Image{SHA256: u.SHA256, Width: info.Width, Height: info.Height, Name: u.Name})
	}
	if sub.Mask == nil {
		return nil
	}
	return s.placeMask(j, *sub.Mask)
}

// placeMask turns the mask into what Merge reads. It has to have the size of the first image as that is seen.
func (s *Supervisor) placeMask(j *job.Job, u Upload) error {
	var share float64
	info, err := s.place(j.ID, u, store.MaskFile, originalMask, func(src, dst *os.File) (info picture.Info, err error) {
		info, share, err = picture.NormalizeMask(src, dst, picture.Limits{})
		return info, err
	})
	if err != nil {
		return err
	}
	if of := j.Images[0]; info.Width != of.Width || info.Height != of.Height {
		return job.Errorf(job.CodeMaskBad, "the mask has %dx%d pixels, the photo %dx%d", info.Width, info.Height, of.Width, of.Height)
	}
	j.Mask = &job.Mask{SHA256: u.SHA256, Share: share}
	return nil
}

// planOf resolves the recipe of a job.
func planOf(j job.Job, spec model.Spec, seed int64) (plan.Plan, error) {
	if j.Mask != nil {
		return plan.MakeMasked(j.Recipe, j.Images, spec, seed)
	}
	return plan.Make(j.Recipe, j.Images, spec, seed)
}

func (s *Supervisor) placeImage(j *job.Job, u Upload, name, original string) (picture.Info, error) {
	return s.place(j.ID, u, name, original, func(src, dst *os.File) (picture.Info, error) {
		info, notices, err := picture.Normalize(src, dst, picture.Limits{})
		for _, n := range notices {
			j.Notices = noticed(j.Notices, n)
		}
		return info, err
	})
}

// place makes a file of the job from an upload, and keeps the upload under the name original.
func (s *Supervisor) place(id job.ID, u Upload, name, original string, turn func(src, dst *os.File) (picture.Info, error)) (picture.Info, error) {
	src, err := s.store.OpenSpool(u.spool)
	if err != nil {
		return picture.Info{}, fmt.Errorf("open the upload: %w", err)
	}
	defer func() { _ = src.Close() }()
	draft, err := s.store.Create(id, name)
	if err != nil {
		return picture.Info{}, err
	}
	info, err := turn(src, draft.File)
	if err != nil {
		draft.Abort()
		return info, store.DiskError(err)
	}
	if err := draft.Finish(); err != nil {
		return info, err
	}
	if err := src.Sync(); err != nil {
		return info, store.DiskError(err)
	}
	return info, s.store.PlaceSpool(u.spool, id, original)
}

// drawSeed is used when the recipe has none; it is kept with the job, so that a second try makes the same picture.
func drawSeed() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) & job.SeedMax)
}
