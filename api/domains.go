package api

import (
	"fmt"
	"io"
	"time"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// placeVerbs are about where an application answers.
func placeVerbs() []verb {
	return []verb{
		{name: "open", args: "APP", summary: "print the first URL of an application; the client shows it in a browser too", example: "open hello",
			action: access.Read, run: open},
		{name: "domains", args: "APP", summary: "the hosts and paths that an application answers at, and their certificates", example: "domains hello",
			detail: "HTTPS is no, yes (beside http) or only. CERTIFICATE is the day until which the one that fits is valid.",
			action: access.Read, run: domains},
	}
}

// domain is a place where an application answers.
type domain struct {
	Host        string        `json:"host"`
	Path        string        `json:"path"`
	Proc        lain.ProcName `json:"proc"`
	URL         string        `json:"url"`
	HTTPS       bool          `json:"https"`
	HTTPSOnly   bool          `json:"https_only"`
	Certificate *time.Time    `json:"certificate_until,omitempty"` // none: no certificate fits
}

// places are those of the release that serves.
func (c *call) places() ([]domain, error) {
	app, err := c.theApp()
	if err != nil || app.Serving == 0 {
		return []domain{}, err
	}
	r, err := c.API.releases.Get(c, lain.NumberKey(app.Name, app.Serving))
	all := []domain{}
	for _, route := range r.Value.Routes {
		d := domain{Host: route.Host, Path: route.Path, Proc: route.Proc, URL: c.URL(route), HTTPSOnly: route.HTTPSOnly}
		if until, ok := c.Certificate(route.Host); ok {
			d.HTTPS, d.Certificate = true, &until
		}
		all = append(all, d)
	}
	return all, err
}

func domains(c *call) error {
	all, err := c.places()
	if err != nil {
		return err
	}
	return c.answer(all, func(w io.Writer) {
		if len(all) == 0 {
			fmt.Fprintf(w, "%s answers nowhere. A proc of type web does, once it serves. See: info %s\n", c.app, c.app)
			return
		}
		rows(w, "HOST PATH PROC HTTPS CERTIFICATE", func(row func(...any)) {
			for _, d := range all {
				row(d.Host, d.Path, d.Proc, d.secure(), d.certificate())
			}
		})
	})
}

func (d domain) secure() string {
	switch {
	case d.HTTPSOnly:
		return "only"
	case d.HTTPS:
		return "yes"
	}
	return "no"
}

func (d domain) certificate() string {
	if d.Certificate == nil {
		return "none"
	}
	return "until " + d.Certificate.UTC().Format(time.DateOnly)
}

func open(c *call) error {
	all, err := c.places()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fault.New(fault.NotFound, "%s answers nowhere yet", c.app).WithHint("See: info %s", c.app)
	}
	first := all[0].URL
	return c.answer(place{first}, func(w io.Writer) { fmt.Fprintln(w, first) })
}
