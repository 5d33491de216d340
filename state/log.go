package state

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo gives etcd a logger whose errors end in ours. What it says below error is for its developers,
// and so is what it says after ended: that its listeners were closed.
func zapTo(log *slog.Logger, ended *atomic.Bool) *zap.Logger {
	return zap.New(&core{log: log, ended: ended})
}

// core is a zapcore.Core that writes to slog.
type core struct {
	log   *slog.Logger
	ended *atomic.Bool
}

// Enabled lets errors and worse through.
func (c *core) Enabled(level zapcore.Level) bool {
	return level > zapcore.ErrorLevel || level == zapcore.ErrorLevel && !c.ended.Load()
}

// With keeps the facts for every later line.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{log: c.log.With(pairs(fields)...)}
}

// Check adds the core to an entry that it is enabled for.
func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// harmless is what etcd says now and then while its folder is new, and mends by itself.
const harmless = "failed to update storage version"

// Write hands one line on.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelError
	if e.Message == harmless {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, "etcd: "+e.Message, pairs(fields)...)
	return nil
}

// Sync has nothing to flush.
func (c *core) Sync() error { return nil }

func pairs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	out := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		out = append(out, k, v)
	}
	return out
}
