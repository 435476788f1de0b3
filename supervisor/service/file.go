// Package service makes qie start with the person's session: a LaunchAgent on macOS, a systemd user unit on Linux. It
// needs no rights beyond the person's own and starts nothing itself: launchd and systemd do.
package service

import (
	"encoding/xml"
	"strings"
)

// Names by which the systems know the service.
const (
	unitName = "qie.service"
	label    = "local.qie"
)

// stopSeconds is more than an orderly end takes; behind it the system kills.
const stopSeconds = "45"

// Spec is what the service runs.
type Spec struct {
	Program string   // absolute path
	Args    []string // behind it
	LogFile string   // for launchd, which keeps no journal
}

// unit is the text of the systemd user unit. The colon keeps systemd from reading $ in the paths. It takes no program
// whose path holds a quote or a backslash, so the shell, which hands the process over, stands in front.
func unit(s Spec) string {
	words := []string{"/bin/sh"}
	for _, a := range append([]string{"-c", `exec "$0" "$@"`, s.Program}, s.Args...) {
		words = append(words, quoteUnit(a))
	}
	return `[Unit]
Description=qie edits photos on this computer
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=exec
ExecStart=:` + strings.Join(words, " ") + `
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec=` + stopSeconds + `
UMask=0077

[Install]
WantedBy=default.target
`
}

// quoteUnit writes a word as systemd reads it: C-style quotes, and % for its own specifiers.
func quoteUnit(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(word) + `"`
}

// agent is the text of the LaunchAgent. Interactive keeps macOS from slowing the worker down in the background.
func agent(s Spec) string {
	var args strings.Builder
	for _, a := range append([]string{s.Program}, s.Args...) {
		args.WriteString("\n    <string>" + escapeXML(a) + "</string>")
	}
	return xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>` + label + `</string>
  <key>ProgramArguments</key>
  <array>` + args.String() + `
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>` + stopSeconds + `</integer>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardOutPath</key>
  <string>` + escapeXML(s.LogFile) + `</string>
  <key>StandardErrorPath</key>
  <string>` + escapeXML(s.LogFile) + `</string>
</dict>
</plist>
`
}

func escapeXML(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return b.String()
}
