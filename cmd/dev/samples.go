package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	sampleSeed    = 1
	sampleQuality = 88 // of the afters; all pictures together stay under the 400 KB that web/src/samples/samples.test.ts allows
	samplePhotos  = "pyruntime/demo/testdata/photos"
	sampleFolder  = "web/src/samples"
)

// sample is a before and after that the page shows on a first visit. The photos come from scikit-image's samples.
type sample struct {
	Name    string `json:"name"`
	Prompt  string `json:"prompt"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Alt     string `json:"alt"`
	Licence string `json:"licence"`
	Source  string `json:"source"`
}

// shownSamples are in the order of the page; the first is the large one.
var shownSamples = []sample{
	{Name: "cat", Prompt: "turn it into a pencil sketch", Alt: "a cat's face", Licence: "CC0-1.0",
		Source: "Stefan van der Walt, by way of scikit-image's sample pictures"},
	{Name: "coffee", Prompt: "make it black and white", Alt: "a cup of coffee with a spoon", Licence: "CC0-1.0",
		Source: "Rachel Michetti, by way of scikit-image's sample pictures"},
	{Name: "rocket", Prompt: "invert the colors", Alt: "a rocket at its launch", Licence: "public domain",
		Source: "SpaceX, by way of scikit-image's sample pictures"},
}

// samples makes the page's before-and-after pictures by the real program with the embedded demo model: one server for
// all, and `qie edit` for each. The seed is fixed and the device is the CPU, so that the same weights make the same files.
// The hash of the model's manifest goes with them: a test of the page fails when the model is another one.
func samples(ctx context.Context, _ []string) error {
	manifest, err := os.ReadFile("pyruntime/demo/model/manifest.json")
	if err != nil {
		return fmt.Errorf("demo model: %w", err)
	}
	home, err := os.MkdirTemp("", "qie-samples-*")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	for name, value := range map[string]string{"QIE_MODEL": "demo", "QIE_DEVICE": "cpu", "QIE_HOME": home} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	server := &benchmark{home: home}
	if _, err := server.start(ctx); err != nil {
		return err
	}
	sum := sha256.Sum256(manifest)
	err = makeSamples(ctx, home, hex.EncodeToString(sum[:]))
	return errors.Join(err, server.stop())
}

func makeSamples(ctx context.Context, home, model string) error {
	if err := os.MkdirAll(sampleFolder, 0o755); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	made := struct {
		Model   string   `json:"model"`
		Samples []sample `json:"samples"`
	}{Model: model}
	for _, s := range shownSamples {
		s.Before, s.After = s.Name+"-before.jpg", s.Name+"-after.jpg"
		photo := filepath.Join(samplePhotos, s.Name+".jpg")
		result := filepath.Join(home, s.Name+".png")
		edit := exec.CommandContext(ctx, ".qie/bin/qie", "edit", "--data", home, "-i", photo, "--seed", fmt.Sprint(sampleSeed), "-o", result, s.Prompt)
		if output, err := edit.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", s.Name, err, output)
		}
		before, err := os.ReadFile(photo)
		if err != nil {
			return err
		}
		after, err := asJPEG(result)
		if err != nil {
			return err
		}
		err = errors.Join(os.WriteFile(filepath.Join(sampleFolder, s.Before), before, 0o644),
			os.WriteFile(filepath.Join(sampleFolder, s.After), after, 0o644))
		if err != nil {
			return err
		}
		fmt.Printf("%-8s %-30s %3d KB, %3d KB\n", s.Name, s.Prompt, len(before)>>10, len(after)>>10)
		made.Samples = append(made.Samples, s)
	}
	data, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(sampleFolder, "samples.json"), append(data, '\n'), 0o644)
}

func asJPEG(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	var out bytes.Buffer
	err = jpeg.Encode(&out, picture, &jpeg.Options{Quality: sampleQuality})
	return out.Bytes(), err
}
