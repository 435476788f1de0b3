package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"net/http"

	"qie/supervisor/event"
	"qie/supervisor/job"
)

const (
	pingEvery  = 25 * time.Second
	writeLimit = 5 * time.Second
	readMax    = 64 << 10
	closeLost  = 4409 // "resync": events were lost, come back for a snapshot
)

// The guard in front has checked the origin already, with the trusted ones that gorilla does not know.
var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, HandshakeTimeout: writeLimit,
	Error: func(w http.ResponseWriter, _ *http.Request, _ int, reason error) {
		writeProblem(w, problemOf(job.Errorf(job.CodeInputBad, "this address is a WebSocket: %v", reason)))
	}}

// live streams events. This goroutine is the only writer; a second one reads, so that pongs and the close are seen.
func (s *server) live(c *gin.Context) {
	seq, err := strconv.ParseInt(c.DefaultQuery("seq", "-1"), 10, 64)
	if err != nil {
		seq = -1
	}
	sub := s.sup.Subscribe(c.Query("epoch"), seq)
	defer sub.Close()
	s.stream(c, sub, func(e event.Event) (any, bool) { return e, true })
}

// stream sends what frame makes of each event until one side goes away. The first wake delivers the snapshot.
func (s *server) stream(c *gin.Context, sub *event.Subscription, frame func(event.Event) (any, bool)) {
	conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		return // gorilla has answered
	}
	defer conn.Close()
	conn.SetReadLimit(readMax)
	alive := func() error { return conn.SetReadDeadline(time.Now().Add(2*pingEvery + writeLimit)) }
	_ = alive()
	conn.SetPongHandler(func(string) error { return alive() })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	defer func() { _ = conn.Close(); <-gone }()
	bye := func(code int, text string) {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(writeLimit))
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-gone:
			return
		case <-c.Request.Context().Done():
			bye(websocket.CloseGoingAway, "qie stops")
			return
		case <-ping.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeLimit)) != nil {
				return
			}
		case <-sub.C():
			events, err := sub.Next()
			if errors.Is(err, event.ErrResync) {
				bye(closeLost, "resync")
				return
			} else if err != nil {
				bye(websocket.CloseGoingAway, "qie stops")
				return
			}
			for _, e := range events {
				v, send := frame(e)
				if !send {
					continue
				}
				data, err := frameOf(v)
				if err != nil {
					s.Log.Error("an event cannot be written as JSON", "type", e.Type, "err", err)
					continue
				}
				_ = conn.SetWriteDeadline(time.Now().Add(writeLimit))
				if conn.WriteMessage(websocket.TextMessage, data) != nil {
					return
				}
			}
		}
	}
}

// frameOf is what is sent: an event as it is was made into JSON once for all who listen.
func frameOf(v any) ([]byte, error) {
	if e, ok := v.(event.Event); ok {
		return e.Frame()
	}
	return json.Marshal(v)
}
