package supervisor

import (
	"cmp"

	"qie/supervisor/catalog"
	"qie/supervisor/model"
	"qie/supervisor/plan"
	"qie/supervisor/preflight"
)

// room is what the worker's device can hold, and the bytes of a number on it; before a worker has said which device it is,
// what doctor says of this machine.
func (s *Supervisor) room() (room plan.Room, itemBytes int64) {
	s.mu.Lock()
	w := s.view.worker
	s.mu.Unlock()
	h := s.machine()
	have, dtype := preflight.Has(h, cmp.Or(w.Device, preflight.KindOf(s.cfg.Device, h)))
	room.Total = have
	switch {
	case w.DeviceBytes > 0 && w.Device == "cuda":
		room.Total = w.DeviceBytes
	case w.DeviceBytes > 0:
		room.Total = min(h.MemoryTotal, w.DeviceBytes)
	}
	return room, plan.ItemBytes(cmp.Or(w.DType, dtype))
}

// FitOf judges a model for this machine.
func (s *Supervisor) FitOf(spec model.Spec) catalog.Fit {
	room, itemBytes := s.room()
	all, choice := plan.Judge(spec, itemBytes, room)
	fit := catalog.Fit{OK: !choice.Refused && room.Total > 0, Reason: choice.Says(), Plans: []catalog.Need{}}
	for _, m := range all {
		fit.Plans = append(fit.Plans, catalog.Need{Plan: m.Profile, Words: plan.Word(m.Profile), Peak: m.Peak(),
			Taken: fit.OK && m.Profile == choice.Profile})
	}
	return fit
}

// fit judges an entry of the catalogue: what belongs to a model by the model. One that is here tells its own shapes.
func (s *Supervisor) fit(e catalog.Entry) catalog.Fit {
	if e.Kind == catalog.GGUF {
		return catalog.Fit{Reason: "this version of qie runs no GGUF files; it is fetched and verified for other programs", Plans: []catalog.Need{}}
	}
	base, _ := catalog.Find(cmp.Or(e.Base, e.ID))
	spec := model.Published(base.ID, base.Name, base.Class, base.Bytes)
	for _, here := range s.Models() {
		if here.ID == base.ID && here.Shapes.Known() {
			spec = here
		}
	}
	return s.FitOf(spec)
}
