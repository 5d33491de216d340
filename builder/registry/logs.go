package registry

import (
	"context"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// redirectLogs takes logrus, which distribution logs through, off standard error and sends what it says to
// ours: warnings as such, and the line per request for debugging only.
func redirectLogs(logger *slog.Logger) {
	hooks := logrus.LevelHooks{}
	hooks.Add(forward{logger.With("component", "registry")})
	standard := logrus.StandardLogger()
	standard.ReplaceHooks(hooks)
	standard.SetOutput(io.Discard)
	standard.SetLevel(logrus.InfoLevel)
}

type forward struct{ logger *slog.Logger }

// Levels are all of them.
func (forward) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes an entry on, without its headers: an Authorization header is among the fields of a request.
func (f forward) Fire(e *logrus.Entry) error {
	attrs := make([]slog.Attr, 0, 4)
	for _, name := range []string{"http.request.method", "http.request.uri", "http.response.status", "err.code", "err.detail", "error"} {
		if value, ok := e.Data[name]; ok {
			attrs = append(attrs, slog.Any(name, value))
		}
	}
	f.logger.LogAttrs(context.Background(), level(e), e.Message, attrs...)
	return nil
}

func level(e *logrus.Entry) slog.Level {
	if _, request := e.Data["http.request.method"]; request || e.Level >= logrus.InfoLevel {
		return slog.LevelDebug
	}
	if e.Level == logrus.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelError
}
