// Command openapi writes openapi.json from the Go types. It is run by `go generate ./api`.
package main

import (
	"fmt"
	"os"

	"qie/api"
)

func main() {
	data, err := api.Document()
	if err == nil {
		err = os.WriteFile("openapi.json", data, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
