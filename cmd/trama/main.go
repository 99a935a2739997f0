// Command trama is the whole system in one binary: all services in one process
// (up), a process per service on this machine (up --split), or any set of
// modules wherever they belong (serve).
//
// Exit status: 0 after an orderly stop, 1 when something could not be done (one
// line on standard error says what), 2 for a wrong command line.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"trama/platform/config"
	"trama/system"
)

// version is set by the linker (-X main.version=…) in releases.
var version = "development"

type cli struct {
	Config string            `help:"Configuration file. Default: trama.yaml in the current folder, if there is one." placeholder:"FILE"`
	Set    map[string]string `help:"Set one configuration key; may be repeated. trama config print lists the keys." placeholder:"KEY=VALUE" short:"s" mapsep:"none"`
	Data   string            `help:"Data folder. Default: ./trama-data." placeholder:"FOLDER"`

	Up            upCmd            `cmd:"" help:"Run the whole system on this machine."`
	Serve         serveCmd         `cmd:"" help:"Run some modules, services or groups in this process."`
	Deadletter    deadletterCmd    `cmd:"" help:"See and mend what subscriptions could not handle."`
	Events        eventsCmd        `cmd:"" help:"Follow, show and replay the event log."`
	Subscriptions subscriptionsCmd `cmd:"" help:"List the subscriptions with what waits for each."`
	Tasks         tasksCmd         `cmd:"" help:"List the scheduled tasks, or run one now."`
	Trace         traceCmd         `cmd:"" help:"Show one request through every service it reached."`

	Modules  modulesCmd  `cmd:"" help:"List the modules: what each does, needs and waits for."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the tables of the stores up to date, or show what is pending."`
	Database databaseCmd `cmd:"" help:"Make PostgreSQL roles, databases or schemas for the services."`
	Settings configCmd   `cmd:"" name:"config" help:"Print or check the configuration."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// globals reach every command.
type globals struct {
	cli    *cli
	out    io.Writer
	errout io.Writer
	child  string // this process's name when a supervisor started it
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its doors open for tests.
func run(args []string, out, errout io.Writer) (status int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("trama"), kong.Writers(out, errout),
		kong.Description("Trama: a complete online school and store, and the platform it stands on.\n\nStart with: trama up"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(helpWithExamples),
		kong.Exit(func(code int) { exited = code; panic(exitNow{}) }))
	if err != nil {
		fmt.Fprintln(errout, "trama:", err)
		return 1
	}
	defer func() { // kong prints help and leaves through Exit
		if r := recover(); r != nil {
			if _, ok := r.(exitNow); !ok {
				panic(r)
			}
			status = exited
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == "help" { // trama help up, as other programs have it
		args = append(slices.Clone(args[1:]), "--help")
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errout, "trama:", wrongLine(err))
		return 2
	}
	if err := ctx.Run(&globals{cli: &c, out: out, errout: errout}); err != nil {
		if !errors.Is(err, errTold) {
			fmt.Fprintln(errout, "trama:", oneLine(err))
		}
		return 1
	}
	return 0
}

// oneLine gives the text of an error without line breaks, which joined errors
// and some drivers have.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}

// wrongLine says what is wrong with a command line and where to look.
func wrongLine(err error) string {
	text, command := oneLine(err), ""
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		command = wrong.Context.Selected().Path()
	}
	if name, ok := strings.CutPrefix(text, "unexpected argument "); ok && command == "" {
		text = fmt.Sprintf("there is no command %q", name)
	}
	text = strings.Replace(text, `expected string value but got "EOL" (<EOL>)`, "needs a value", 1)
	return strings.Join(strings.Fields(text+"; see trama "+command+" --help"), " ")
}

type exitNow struct{}

// errTold is returned by a command that has already said what is wrong.
var errTold = errors.New("told")

// helper is a command that shows examples under its help.
type helper interface{ Examples() string }

func helpWithExamples(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil || !node.Target.CanAddr() {
		return nil
	}
	if h, ok := node.Target.Addr().Interface().(helper); ok {
		_, err := fmt.Fprintf(ctx.Stdout, "\nExamples:\n%s\n", h.Examples())
		return err
	}
	return nil
}

// load reads the configuration from all its sources; the problems are told, all
// at once. extra are keys given by flags of the command.
func (g *globals) load(extra map[string]string) (system.Config, []config.Field, error) {
	var c system.Config
	set, flags := map[string]string{}, map[string]string{}
	for k, v := range extra {
		if v != "" {
			set[k], flags[k] = v, "--"+k
		}
	}
	if g.cli.Data != "" {
		set["data"], flags["data"] = g.cli.Data, "--data"
	}
	for k, v := range g.cli.Set { // the more explicit of two flags for one key
		if k == "" {
			return c, nil, fmt.Errorf("--set %q names no key; trama config print lists them", "="+v)
		}
		set[k] = v
		delete(flags, k)
	}
	file := g.cli.Config
	if file == "" {
		file = "trama.yaml"
	}
	fields, problems := config.Load(&c, config.Sources{File: file, Must: g.cli.Config != "", Env: os.Environ(), Set: set, Flag: flags})
	if len(problems) == 0 {
		return c, fields, nil
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	if len(lines) == 1 {
		return c, fields, errors.New(lines[0])
	}
	fmt.Fprintf(g.errout, "trama: the configuration has %d problems:\n  %s\n", len(lines), strings.Join(lines, "\n  "))
	return c, fields, errTold
}

type versionCmd struct{}

func (versionCmd) Run(g *globals) error {
	_, err := fmt.Fprintln(g.out, "trama", version)
	return err
}
