package host

import (
	"os/user"
	"strings"
)

// Gecos is the full name of whoever runs this program, as the system knows it; empty when it does not.
func Gecos() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(u.Name, ",")
	return name
}
