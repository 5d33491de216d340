package api

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/state"
)

// mostCommits bounds the commits that diff lists for each direction.
const mostCommits = 20

// Repos gives the repository of an application.
type Repos interface {
	Open(context.Context, lain.AppName) (*repo.Repository, error)
}

// difference is the answer of diff.
type difference struct {
	From        string   `json:"from"`
	To          string   `json:"to"`
	Differences []string `json:"differences"`
	Added       []commit `json:"added"`   // commits that the second has and the first lacks, the newest first
	Removed     []commit `json:"removed"` // the other way round
	Manifest    string   `json:"manifest"`
}

type commit struct {
	ID      lain.Commit `json:"id"`
	Author  string      `json:"author"`
	Subject string      `json:"subject"`
}

func diff(c *call) error {
	a, b, err := c.twoReleases()
	if err != nil {
		return err
	}
	d := difference{From: a.Version(), To: b.Version(), Differences: append([]string{}, changes.Compare(a, b)...)}
	r, err := c.Repos.Open(c, c.app)
	if err != nil {
		return err
	}
	if d.Added, err = commits(c, r, a.Commit, b.Commit); err != nil {
		return err
	}
	if d.Removed, err = commits(c, r, b.Commit, a.Commit); err != nil {
		return err
	}
	if d.Manifest, err = r.Diff(c, a.Commit, b.Commit, "lain.yaml"); err != nil {
		return err
	}
	return c.answer(d, func(w io.Writer) { writeDifference(w, d) })
}

// twoReleases are those that were named; else the former one and the one that serves.
func (c *call) twoReleases() (a, b lain.Release, err error) {
	app, err := c.theApp()
	if err != nil {
		return a, b, err
	}
	from, err := c.theRelease(1)
	if err != nil {
		return a, b, err
	}
	to, err := c.theRelease(2)
	if err != nil {
		return a, b, err
	}
	if to == 0 {
		to = app.Serving
	}
	if from == 0 {
		if from, err = c.lastOther(); err != nil {
			return a, b, err
		}
	}
	if a, err = c.release(from); err != nil {
		return a, b, err
	}
	b, err = c.release(to)
	return a, b, err
}

func (c *call) release(n int) (lain.Release, error) {
	item, err := c.API.releases.Get(c, lain.NumberKey(c.app, n))
	if errors.Is(err, state.ErrNotFound) {
		return lain.Release{}, fault.New(fault.NotFound, "%s has no release v%d", c.app, n).WithHint("See: releases %s", c.app)
	}
	return item.Value, err
}

func commits(ctx context.Context, r *repo.Repository, from, to lain.Commit) ([]commit, error) {
	infos, err := r.Log(ctx, from, to, mostCommits)
	list := []commit{}
	for _, i := range infos {
		list = append(list, commit{i.ID, i.Author, i.Subject})
	}
	return list, err
}

func writeDifference(w io.Writer, d difference) {
	fmt.Fprintf(w, "%s -> %s\n", d.From, d.To)
	for _, line := range d.Differences {
		fmt.Fprintf(w, "  %s\n", report.Line(line, 200))
	}
	if len(d.Differences) == 0 {
		fmt.Fprintln(w, "  the same commit, image and settings")
	}
	writeCommits(w, "+", d.Added)
	writeCommits(w, "-", d.Removed)
	if d.Manifest != "" {
		fmt.Fprintf(w, "\n%s", report.Clean(d.Manifest))
	}
}

func writeCommits(w io.Writer, mark string, list []commit) {
	for _, x := range list {
		fmt.Fprintf(w, "%s %s %s (%s)\n", mark, x.ID.Short(), report.Line(x.Subject, 100), report.Line(x.Author, 60))
	}
}
