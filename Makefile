# make help lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := $(shell tools/modules)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0-dev)
# tools/setup puts a Node there if the system's is too old.
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tokenos/node/bin:$(PATH)
LINT = $(shell go tool -modfile=tools/lint/go.mod -n golangci-lint)

TEMPL = go tool -modfile=tools/templ/go.mod templ

# PKG narrows test, race, bench and fuzz to some packages: make race PKG=./ledger/...
PKG ?= ./...
# TIMEOUT is for one package's tests, under the race detector on two cores.
TIMEOUT ?= 30m
BENCH ?= .
# BENCHTIME is for each benchmark; PKG=./ledger measures the ledger's instead.
BENCHTIME ?= 1s
FUZZTIME ?= 1m
# RACE leaves SQLite itself out of the race detector: it is C turned into Go that
# shares no memory with us, and takes half of the tests' time otherwise.
RACE = -race $(foreach p,libc/... mathutil memory sqlite/lib,-gcflags=modernc.org/$(p)=-race=false)
# A program under the race detector sleeps a second before it ends, unless told not
# to, and the scripts of the command line run it six hundred times.
export GORACE ?= atexit_sleep_ms=0
# RUNS is for crash and simulate, STEPS for simulate.
RUNS ?= 2000
STEPS ?= 1000

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## run tokenos and Hydra on this machine, for development
	go run ./cmd/tokenos dev

.PHONY: build
build: ## build dist/tokenos
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.stamped=$(VERSION)" -o dist/tokenos ./cmd/tokenos

.PHONY: secrets
secrets: ## make the secrets for docker compose, keeping what is there
	deploy/make-secrets

##@ Check

.PHONY: test
test: setup ## install what is missing and run every test; a skipped one is a failure
	tools/check-skips
	for module in $(MODULES); do \
		(cd $$module && TOKENOS_TEST_REQUIRE=1 go test $(RACE) -count=1 -timeout $(TIMEOUT) $(PKG)) || failed=1; \
	done; exit $${failed:-0}

.PHONY: quick
quick: setup ## like test, without the race detector and with cached results
	for module in $(MODULES); do (cd $$module && TOKENOS_TEST_REQUIRE=1 go test -timeout $(TIMEOUT) $(PKG)); done

.PHONY: race
race: ## the main module's tests under the race detector, ten times over
	TOKENOS_TEST_REQUIRE=1 go test $(RACE) -count=10 -timeout 0 $(PKG)

.PHONY: crash
crash: ## kill the program RUNS times on each database
	TOKENOS_TEST_REQUIRE=1 go test -run '^TestCrash' -timeout 0 -v ./internal/crashtest -runs $(RUNS)

.PHONY: simulate
simulate: ## the simulation with RUNS seeds from the clock, STEPS long, on each database
	for _ in $$(seq $(RUNS)); do \
		TOKENOS_TEST_REQUIRE=1 go test $(RACE) -count=1 -timeout 0 ./internal/simulation -seed 0 -steps $(STEPS) || exit 1; \
	done

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -rn1 dirname | sort -u | while read -r package; do \
		for target in $$(grep -hoE '^func Fuzz\w+' $$package/*_test.go | cut -d' ' -f2); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## measure beside Hydra what BENCH matches (docs/performance.md)
	TOKENOS_TEST_REQUIRE=1 go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 0 $(if $(filter ./...,$(PKG)),./internal/bench,$(PKG))

.PHONY: bench-keyauth
bench-keyauth: ## measure keyauth beside go-oidc and golang-jwt
	cd keyauth/bench && go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 0

.PHONY: fmt
fmt: ## format every Go file
	gofmt -w .

.PHONY: format
format: ## fail on a file that is not formatted
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; } >&2

.PHONY: tidy
tidy: ## fail on a go.mod, go.sum or generated file that is not up to date
	for module in tools/lint tools/templ $(MODULES); do (cd $$module && echo "$$module" && go mod tidy -diff); done
	tools/check-generated

.PHONY: pictures
pictures: setup ## make the dashboard's pictures in docs/pictures
	mkdir -p docs/pictures
	TOKENOS_TEST_REQUIRE=1 TOKENOS_DOCS_PICTURES=$(CURDIR)/docs/pictures go test -count=1 ./e2e -run 'TestBrowser$$'

.PHONY: generate
generate: ## make the Go code of the dashboard's components (*.templ)
	$(TEMPL) generate -path web

.PHONY: vet
vet: ## go vet
	for module in $(MODULES); do (cd $$module && go vet ./...); done

.PHONY: lint
lint: ## golangci-lint by .golangci.yml, at the version of tools/lint/go.mod
	lint=$(LINT); for module in $(MODULES); do (cd $$module && $$lint run ./...); done

.PHONY: ci
ci: ## what a submission must pass
	.ci/run

.PHONY: setup
setup: ## install what tests need: see tools/setup; build Hydra once
	tools/setup
	go run ./tools/hydra >/dev/null
