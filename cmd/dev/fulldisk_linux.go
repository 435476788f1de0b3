package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// mount lays the data folder on a file system whose size can be changed, so that its disk can be full.
func (s *soaker) mount() error {
	if os.Geteuid() != 0 {
		return errors.New("a file system can only be mounted by root")
	}
	if err := os.MkdirAll(s.home(), 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", s.home(), "tmpfs", 0, "mode=0700,size="+diskRoom); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	s.mounted = true
	return nil
}

func (s *soaker) unmount() {
	if s.mounted {
		_ = syscall.Unmount(s.home(), syscall.MNT_DETACH)
	}
}

// fullDisk takes all space but some blocks away, one time in three kills the worker meanwhile, and gives it back.
func (s *soaker) fullDisk(ctx context.Context) error {
	var now syscall.Statfs_t
	if err := syscall.Statfs(s.home(), &now); err != nil {
		return err
	}
	used := (int64(now.Blocks) - int64(now.Bfree)) * now.Bsize
	left := int64(s.random(16)) * now.Bsize
	// What is in use may have grown meanwhile: then the kernel refuses, and nothing happens this time.
	full := s.resize(fmt.Sprint(used + left))
	if full == nil {
		s.counts["disk was full"]++
	}
	pause(ctx, time.Duration(s.random(1000))*time.Millisecond)
	if s.random(3) == 0 {
		_ = s.killChild(false)(ctx)
	}
	pause(ctx, time.Duration(s.random(2000))*time.Millisecond)
	return s.resize(diskRoom)
}

func (s *soaker) resize(size string) error {
	return syscall.Mount("", s.home(), "", syscall.MS_REMOUNT, "size="+size)
}
