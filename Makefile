# Lain: few verbs. `make` alone prints them.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CLIENT := -s -w -X main.version=$(VERSION)
.DEFAULT_GOAL := help
.PHONY: help build client demo demo-down test fuzz bench lint clean check install

help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: check ## build the binaries into ./bin
	go build -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/laind
	go build -o bin/ ./acceptance/load/lain-load ./acceptance/lab/inlab ./tools/demo/forward
	go build -o bin/make-bases ./examples/bases
	CGO_ENABLED=0 go build -o bin/ ./acceptance/testapp
	CGO_ENABLED=0 go build -ldflags "-s -w" -o bin/ ./cmd/lain-helper ./cmd/lain-hook
	CGO_ENABLED=0 go build -ldflags "$(CLIENT)" -o bin/ ./cmd/lain
	@tools/setup/modules.sh build lain-vault

client: ## build the developers' lain for linux and darwin, amd64 and arm64, into ./bin/client
	for os in linux darwin; do for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -ldflags "$(CLIENT)" -o bin/client/lain-$$os-$$arch ./cmd/lain || exit 1; \
	done; done

demo: check ## push a real application to a real server on this machine (12 min cold, 1 min warm)
	@tools/demo/demo.sh up

demo-down: ## remove all that the demo made
	@tools/demo/demo.sh down

test: check ## prove it: lint, unit tests, tests on an engine, acceptance stories
	@tools/setup/test.sh

fuzz: check ## every fuzz target for FUZZTIME (60s), half an hour in all
	@tools/setup/fuzz.sh

bench: check install build ## measure against plain git, docker and nginx on this machine (docs/performance.md)
	LAIN_BIN=$(CURDIR)/bin go test -tags bench -v -count=1 -timeout 60m ./acceptance/bench

lint: check ## vet and staticcheck
	@tools/setup/lint.sh

clean: ## remove what was built (what the demo made: make demo-down)
	rm -rf bin

check:
	@tools/setup/check.sh

install:
	@tools/setup/install.sh test
