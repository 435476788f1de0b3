package preflight

import (
	"fmt"
	"strings"

	"qie/supervisor/job"
)

// message is the error in words. One that has no code of ours says its own.
func message(err error) string {
	if e := job.AsError(err); e.Code != job.CodeInternal {
		return e.Message
	}
	return err.Error()
}

// quote makes one word of a shell command.
func quote(s string) string {
	if !strings.ContainsAny(s, " \t\n'\"\\$`&|;<>()*?[]#!{}") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func network(f Facts) Finding {
	switch {
	case !f.Network.Asked && len(f.Fetch) == 0:
		return ok("nothing is to be fetched, so nobody was asked; edits need no network")
	case !f.Network.Asked:
		return ok("not asked")
	case f.Network.Err == "":
		return ok("the package index answers")
	case f.Network.Late && len(f.Fetch) > 0:
		return Finding{Level: Warning, Title: "the package index is slow or not reachable", Cause: f.Network.Err,
			Fix: "./setup.sh", Advice: "set-up waits longer, and goes on where it stopped"}
	case len(f.Fetch) == 0:
		return Finding{Level: Warning, Title: "the package index does not answer", Cause: f.Network.Err,
			Advice: "nothing: all is here, and edits need no network"}
	}
	return Finding{Level: Error, Title: "the package index does not answer", Cause: f.Network.Err, Fix: "./setup.sh",
		Advice: "first connect to the internet, or name your proxy in HTTPS_PROXY; set-up then goes on where it stopped"}
}

func port(f Facts) Finding {
	switch {
	case f.Running:
		return ok("qie serves on port %d", f.Port)
	case f.Port == 0:
		return ok("any free port")
	case f.PortHolder == "":
		return ok("port %d is free", f.Port)
	}
	return Finding{Level: Error, Title: fmt.Sprintf("port %d is taken", f.Port), Cause: f.PortHolder + " listens on it",
		Fix: fmt.Sprintf("./start --port %d", f.Port+1), Advice: "or end that program"}
}

func folder(what string, d Folder, there string) Finding {
	title := fmt.Sprintf("%s %s", what, d.Path)
	switch {
	case d.Err != nil && d.Owner != "":
		return Finding{Level: Error, Title: title + " cannot be written", Cause: "it belongs to " + d.Owner,
			Fix: fmt.Sprintf("sudo chown -R \"$(id -un)\" %s", quote(d.Path)), Advice: "or choose another: " + d.From + "=/path ./start"}
	case d.Err != nil && d.There:
		return Finding{Level: Error, Title: title + " cannot be written", Cause: message(d.Err),
			Fix: "chmod -R u+rwX " + quote(d.Path), Advice: "or choose another: " + d.From + "=/path ./start"}
	case d.Err != nil:
		return Finding{Level: Error, Title: title + " cannot be made", Cause: message(d.Err),
			Advice: "choose another: " + d.From + "=/path ./start"}
	case len(d.Loose) > 0:
		return Finding{Level: Warning, Title: title + " is open to other users",
			Cause: "others on this machine can read " + strings.Join(d.Loose, ", "), Fix: "qie doctor --fix data"}
	case !d.There:
		return ok("%s; it is made when it is needed", title)
	}
	return ok("%s%s", title, there)
}

func data(f Facts) Finding  { return folder("data in", f.Data, ", yours alone") }
func cache(f Facts) Finding { return folder("models in", f.Cache, "") }
func jobs(f Facts) Finding  { return folder("pictures in", f.Jobs, "") }

func environment(f Facts) Finding {
	if f.Env.Err != nil && (machine(f).Level == Error || system(f).Level == Error) && !f.Host.Translated {
		return Finding{Level: Error, Title: "the Python environment cannot be built here", Cause: "torch does not exist for this machine, as is said above",
			Advice: "what is said there"}
	}
	if f.Env.None {
		return Finding{Level: Error, Title: "the Python environment is not built yet", Cause: "set-up did not come so far", Fix: "./setup.sh"}
	}
	if f.Env.Err != nil {
		fix := "qie doctor --fix environment"
		if !f.UV {
			fix = "./setup.sh"
		}
		return Finding{Level: Error, Title: "the Python environment is not whole", Cause: message(f.Env.Err), Fix: fix}
	}
	how := "are there"
	if f.Verified {
		how = "have the right bytes"
	}
	return ok("all %d files of the packages %s", f.Env.Files, how)
}

func source(f Facts) Finding {
	switch {
	case f.Source.Err != nil && f.Env.Err != nil:
		return ok("the worker's source comes with the environment")
	case f.Source.Err != nil:
		return Finding{Level: Error, Title: "the worker's source is not this program's", Cause: message(f.Source.Err),
			Fix: "qie doctor --fix environment"}
	}
	return ok("the worker's source is this program's")
}

func modelFiles(f Facts) Finding {
	if f.ModelErr != nil {
		e := job.AsError(f.ModelErr)
		finding := Finding{Level: Error, Title: "the selected model is not usable", Cause: message(f.ModelErr), Fix: "QIE_MODEL=demo ./start",
			Advice: e.Hint}
		if f.Demo {
			finding.Fix = "qie doctor --fix model"
		}
		return finding
	}
	switch {
	case f.Model.ID == "":
		return ok("the demo model; it is unpacked at the first start")
	case f.Demo:
		return ok("the demo model, every byte as it should be")
	case f.Verified:
		return ok("%s, %s of weights, every file read", f.Model.ID, gb(f.Model.Bytes))
	}
	return ok("%s, %s of weights, every file there", f.Model.ID, gb(f.Model.Bytes))
}

func worker(f Facts) Finding {
	h := f.Handshake
	switch {
	case h.Err != nil:
		return Finding{Level: Error, Title: "the worker does not start", Cause: message(h.Err), Fix: "qie doctor --fix environment"}
	case h.Done:
		return ok("the worker answers on %s (%s) with torch %s after %.1f s", h.Name, h.DType, h.Torch, h.Seconds)
	case f.Env.Err != nil:
		return ok("not started: its environment comes first")
	case f.SelfTest.IsZero():
		return Finding{Level: Warning, Title: "no edit was tried with this environment yet", Cause: "the self-test did not pass yet, or the program is new",
			Fix: "qie setup"}
	}
	return ok("it passed its self-test on %s; qie doctor --verify starts it now", f.SelfTest.UTC().Format("2006-01-02"))
}

func leftovers(f Facts) Finding {
	if len(f.Leftovers) == 0 {
		return ok("no process of an earlier run")
	}
	var names []string
	for _, p := range f.Leftovers {
		names = append(names, fmt.Sprintf("%s (process %d)", p.Name, p.PID))
	}
	return Finding{Level: Warning, Title: "an earlier worker left something behind", Cause: "still running: " + strings.Join(names, ", "),
		Fix: "./start", Advice: "the start ends it"}
}
