package state

import (
	"encoding/json"
	"errors"
	"fmt"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// MaxRecord is how many bytes a record may have in its envelope.
const MaxRecord = 1 << 20

// envelope is how a record lies in etcd.
type envelope struct {
	Schema int             `json:"schema"`
	Record json.RawMessage `json:"record"`
}

// codec knows one kind's schema and how to reach it.
type codec struct {
	steps []lain.Upgrade // the first lifts schema 1 to 2
}

// schema is the one that is written, and the newest that is read.
func (c codec) schema() int { return 1 + len(c.steps) }

func (c codec) encode(name string, v any) (string, error) {
	record, err := json.Marshal(v)
	if err != nil {
		return "", fault.Hide(fault.Internal, err, "the record %s cannot be written as JSON", name)
	}
	data, err := json.Marshal(envelope{Schema: c.schema(), Record: record})
	if err != nil {
		return "", fault.Hide(fault.Internal, err, "the record %s cannot be written as JSON", name)
	}
	if len(data) > MaxRecord {
		return "", fault.New(fault.Invalid, "the record %s has %d bytes: at most %d fit in the state store",
			name, len(data), MaxRecord)
	}
	return string(data), nil
}

func (c codec) decode(name string, data []byte, into any) error {
	e, err := c.open(name, data)
	if err != nil {
		return err
	}
	record, err := c.lift(e)
	if err == nil {
		err = json.Unmarshal(record, into)
	}
	if err != nil {
		return fault.Hide(fault.Internal, err, "the record %s (schema %d) cannot be read", name, e.Schema)
	}
	return nil
}

// open reads the envelope and refuses one from the future.
func (c codec) open(name string, data []byte) (e envelope, err error) {
	err = json.Unmarshal(data, &e)
	if err == nil && (e.Schema < 1 || len(e.Record) == 0) {
		err = errors.New("no envelope")
	}
	if err != nil {
		return e, fault.Hide(fault.Internal, err, "the record %s is damaged", name)
	}
	if e.Schema > c.schema() {
		return e, fault.New(fault.Internal, "the record %s has schema %d, but this version reads up to %d", name, e.Schema, c.schema()).
			WithHint("It was written by a newer version: run that one, or restore a backup from before the upgrade.")
	}
	return e, nil
}

// lift takes a record step by step up to the schema of the codec.
func (c codec) lift(e envelope) (json.RawMessage, error) {
	record := e.Record
	for from := e.Schema; from < c.schema(); from++ {
		next, err := c.steps[from-1](record)
		if err != nil {
			return nil, fmt.Errorf("migrate from schema %d: %w", from, err)
		}
		record = next
	}
	return record, nil
}
