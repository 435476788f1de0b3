package supervisor

import (
	"context"
	"errors"
	"os"

	"qie/supervisor/job"
	"qie/supervisor/picture"
	"qie/supervisor/store"
)

// OpenThumb opens a small picture of a job: of its result, or of its first source when that is asked for or there is no
// result. It is made when it is asked for the first time. The name changes when the picture does.
func (s *Supervisor) OpenThumb(ctx context.Context, id job.ID, source bool) (f *os.File, name string, err error) {
	j, err := s.Job(ctx, id)
	if err != nil {
		return nil, "", err
	}
	thumb, of := store.ThumbFile(0), store.InputFile(1)
	if j.Result != nil && !source {
		thumb, of = store.ThumbFile(1), store.ResultFile
	}
	f, err = s.store.OpenFile(id, thumb)
	if err == nil || job.AsError(err).Code != job.CodeNotFound {
		return f, thumb, err
	}
	if err := s.makeThumb(ctx, id, of, thumb); err != nil {
		return nil, "", err
	}
	f, err = s.store.OpenFile(id, thumb)
	return f, thumb, err
}

func (s *Supervisor) makeThumb(ctx context.Context, id job.ID, of, thumb string) error {
	// One at a time: what waits here finds the file of the one before it.
	select {
	case s.thumbs <- struct{}{}:
		defer func() { <-s.thumbs }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f, err := s.store.OpenFile(id, thumb); err == nil {
		return f.Close()
	}
	src, err := s.store.OpenFile(id, of)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	draft, err := s.store.Create(id, thumb)
	if err != nil {
		return err
	}
	if err := picture.Thumb(src, draft.File); err != nil {
		draft.Abort()
		var typed *job.Error
		if errors.As(err, &typed) {
			return err
		}
		return store.DiskError(err)
	}
	return draft.Finish()
}
