package api

import (
	"errors"
	"path"
	"strings"

	"lain.internal/lain/access"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// enterVerbs let a person into containers. What is done there leaves one line in the trail: who, when, where, which
// program; never what was typed.
func enterVerbs() []verb {
	return []verb{
		{name: "run", args: "APP [COMMAND...]", summary: "a command, or a shell, in a container of its own", example: "run hello -- ./manage migrate\n  ssh lain run hello --image build --memory 1g -- make test",
			detail: "The container is made for it of the release that serves: image, environment, config values, secret files, user and limits\n" +
				"of a proc, which is --proc, or web, or the first. It takes no requests, and is gone with the command, the connection\n" +
				"and the server. With a terminal (ssh -t) it is as at one. The exit code is the command's.\n\n" +
				"With --image build it is the same in what the release image was copied out of: /lain/app as build.script left it, with the\n" +
				"compilers and test tools of build.base, and as the user of that; of a Dockerfile it is the target. It is taken from the\n" +
				"build's cache; where that is gone it is built again, and a terminal shows how. What builds keep (/root/.cache,\n" +
				"build.volumes) and their secrets are not in it. Compilers may need more --memory than the proc.",
			action: access.Operate, run: runOneOff, flags: runFlags, told: 1},
		{name: "enter", args: "APP INSTANCE [COMMAND...]", summary: "a shell in an instance, or a command", example: "enter hello web.1",
			detail: "With a terminal (ssh -t) it is as at one. The exit code is the command's; flags of it stand behind --, as in\n" +
				"enter hello web.1 -- ls -l. It runs with the environment, the user and the limits of the instance, beside it, and ends\n" +
				"with the connection, with the server, and with the instance.",
			action: access.Operate, run: enter, told: 2},
		{name: "cp", args: "APP SOURCE TARGET", summary: "copy a file out of an instance or into it", example: "cp hello web.1:/tmp/report.csv - > report.csv",
			detail: "One of the two is INSTANCE:/PATH, the other -, for standard output or input. A file is written whole or not at all.\n" +
				"What is in a container is gone with it.",
			action: access.Operate, run: cp},
	}
}

func enter(c *call) error {
	task, err := c.taskOf(c.args[1])
	if err != nil {
		return err
	}
	return c.enter(c.args[1], task, engine.Entry{Argv: c.args[2:], Terminal: c.session.Terminal, Stdout: c.session.Raw})
}

// notAsJSON refuses --json where the answer is somebody else's.
func (c *call) notAsJSON() error {
	if c.json {
		return fault.New(fault.Invalid, "the answer is what the command writes: leave --json out")
	}
	return nil
}

// enter runs a command in a container, with the session's own streams, and ends with its exit code. what is the
// container, as people call it.
func (c *call) enter(what, task string, e engine.Entry) error {
	if err := c.notAsJSON(); err != nil {
		return err
	}
	e.Task, e.Stdin, e.Stderr = task, c.session.Stdin, c.session.Stderr
	ctx, stop := c.watching()
	defer stop()
	code, err := c.Machine.Enter(ctx, e)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return fault.Hide(fault.NotFound, err, "%s of %s has no running container on this machine", what, c.app).WithHint("See: ps %s", c.app)
	case err != nil && c.Err() != nil:
		return fault.Hide(fault.Cancelled, err, "the connection was lost, and the command was ended")
	case err != nil:
		return err
	case code != 0:
		return exit(code)
	}
	return nil
}

// taskOf is the engine's task of an instance, as ps names it: the newest, while one is replaced by another.
func (c *call) taskOf(name string) (string, error) {
	proc, number, err := c.instance(name)
	if err != nil {
		return "", err
	}
	if _, err := c.theApp(); err != nil {
		return "", err
	}
	seen, err := c.procsSeen()
	if err != nil {
		return "", err
	}
	var newest lain.InstanceSeen
	for _, p := range seen {
		for _, i := range p.Instances {
			if p.Proc == proc && i.Number == number && i.State != lain.StoppingState && i.Since.After(newest.Since) {
				newest = i
			}
		}
	}
	if newest.Task == "" {
		return "", fault.New(fault.NotFound, "%s has no instance %s", c.app, report.Line(name, 60)).WithHint("See: ps %s", c.app)
	}
	return newest.Task, nil
}

// cp goes through the helper of the container: with the rights of its user, whatever is in its image.
func cp(c *call) error {
	from, to := c.args[1], c.args[2]
	if (from == "-") == (to == "-") {
		return wrongArgument(c, "one side is INSTANCE:/PATH, the other -").
			WithHint("Out of an instance: cp %s web.1:/PATH - > FILE\nInto one: cp %s - web.1:/PATH < FILE", c.app, c.app)
	}
	place, verb := from, "get"
	if from == "-" {
		place, verb = to, "put"
	}
	instance, file, ok := strings.Cut(place, ":")
	if !ok || !path.IsAbs(file) || strings.Contains(file, "\x00") {
		return wrongArgument(c, "%q is no file of an instance: say INSTANCE:/PATH", report.Line(place, 100))
	}
	task, err := c.taskOf(instance)
	if err != nil {
		return err
	}
	return c.enter(instance, task, engine.Entry{Argv: []string{lain.HelperPath, verb, file}, Stdout: c.session.Raw})
}
