package host

import "syscall"

// DieWithParent asks the kernel to send the child a signal when the thread that starts it ends. That thread must be
// locked for the child's life, so that it is the program's end that is meant.
func DieWithParent(attr *syscall.SysProcAttr, s syscall.Signal) { attr.Pdeathsig = s }
