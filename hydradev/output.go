package hydradev

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// banner tells the lines that Hydra prints at each start and that say nothing to
// people who run it on loopback: advertising, and that it has no TLS.
var banner = []string{
	"Thank you for using Ory Hydra", "Take security seriously and subscribe", ">> Subscribe now:",
	"msg=HTTPS is disabled. Please ensure that your proxy",
}

// output passes Hydra's lines on to a log without the secrets and the banner,
// and keeps the last ones for error messages. It never fails: an error would
// close the pipe and so kill Hydra.
type output struct {
	mu    sync.Mutex
	log   io.Writer
	blot  *strings.Replacer
	lines lines
}

// newOutput writes to log, or nowhere if it is nil.
func newOutput(log io.Writer, secrets []string) *output {
	if log == nil {
		log = io.Discard
	}
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, "[secret]")
	}
	return &output{log: log, blot: strings.NewReplacer(pairs...)}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lines.add(p) {
		if strings.TrimSpace(l) != "" && !isBanner(l) {
			fmt.Fprintln(o.log, o.blot.Replace(l))
		}
	}
	return len(p), nil
}

// say writes a line of our own.
func (o *output) say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.log, "hydradev: "+format+"\n", args...)
}

// tail is the end of what the process has said since reset.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.blot.Replace(o.lines.tail())
}

// reset forgets what an earlier process said.
func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = lines{}
}

func isBanner(line string) bool {
	for _, b := range banner {
		if strings.Contains(line, b) {
			return true
		}
	}
	return false
}
