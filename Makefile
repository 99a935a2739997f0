# Trama: what a developer types. "make help" lists the targets.

GO    ?= go
TOOL  := $(GO) tool -modfile=tools/go.mod
STAMP := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)

.DEFAULT_GOAL := help
.PHONY: help build up test race lint generate verify contracts release faults simulate browser bench bench-bus docs ci clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/trama, small and reproducible
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(STAMP)' -o bin/trama ./cmd/trama

up: ## run the whole system in one process
	$(GO) run ./cmd/trama up

test: ## run every Go test; those that need an engine skip without it (go test -v says which)
	$(GO) test -timeout 20m ./...

race: ## run platform, edge and the whole system in one process under the race detector
	$(GO) test -race -short ./platform/... ./edge/... ./clients/... ./system/...

lint: ## gofmt, tidy, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(TOOL) staticcheck ./...

generate: ## make generated code and documents anew
	$(GO) generate ./contracts/...
	$(GO) run ./cmd/trama config print --docs > docs/reference/configuration.md
	$(GO) run ./cmd/trama modules --docs > docs/reference/modules.md

verify: lint contracts ## everything that must hold besides the tests
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code -- contracts docs/reference || { echo "generated files are stale: run make generate and commit"; exit 1; }

contracts: ## documents, schemas and gates: nothing breaks what was released
	$(GO) test ./contracts/...
	cd tools && $(GO) vet ./... && $(GO) test ./...

release: ## freeze the contracts as they are: from now on they may only grow
	cp contracts/rest/*.yaml contracts/rest/released/
	cp contracts/events/schemas/*.json contracts/events/released/

faults: ## the fault matrix, KILLS=n deaths at each point (100), into docs/reliability.md
	TRAMA_FAULTS_KILLS=$(or $(KILLS),100) TRAMA_FAULTS_LONG=1 TRAMA_FAULTS_REPORT=$(CURDIR)/docs/reliability.md $(GO) test -count=1 -timeout 120m -v ./tests/faults

simulate: ## the whole system under a fake clock and faults; SEEDS=n for more than the 2000 that CI does
	cd tests/simulation && TRAMA_SIM_SEEDS=$(or $(SEEDS),2000) $(GO) test -count=1 -timeout 120m -run 'TestSeeds$$'

browser: ## the pages in headless Chromium with axe (needs Node.js and Chromium)
	tests/browser/run.sh

bench: ## benchmarks; see docs/benchmarks.md for how to read them
	$(GO) test -run '^$$' -bench . -benchtime 2s ./platform/... ./edge/...
	TRAMA_TEST_BENCH=1 $(GO) test -count=1 -timeout 30m -v -run 'TestFigures' ./tests/load

bench-bus: ## our event buses beside Watermill and bare clients, about 15 minutes; see docs/benchmarks.md
	cd tests/busbench && $(GO) run . $(ARGS)

ci: ## what decides whether a change lands
	.ci/run

clean: ## remove what was built
	rm -rf bin
