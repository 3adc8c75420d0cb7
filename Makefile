# make builds; make help lists the rest.

GO       ?= go
FUZZTIME ?= 30s
VULNDB   ?= https://vuln.go.dev
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

export GOTOOLCHAIN = local
export CGO_ENABLED = 1

LDFLAGS = -s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)
TOOL    = $(GO) tool -modfile=tools/go.mod
E2E     = ./internal/e2e/...

.DEFAULT_GOAL := build
.PHONY: build test race e2e fuzz lint vuln cover bench screenshots run check clean help packages

build: ## build bin/gitferry
	$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/gitferry ./cmd/gitferry

run: build ## start server and stand-ins on loopback, print what to paste
	./bin/gitferry sandbox

test: packages ## run everything that proves the product
	$(GO) test -parallel 6 -timeout 45m ./...

race: packages ## run all tests but the end-to-end ones under the race detector
	$(GO) test -race $$($(GO) list ./... | grep -v /internal/e2e)

e2e: packages ## run the end-to-end tests under the race detector
	$(GO) test -race -parallel 6 -timeout 45m $(E2E)

lint: ## gofmt, go vet, staticcheck, allowed imports
	@unformatted=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...) | sort -u); \
	  test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) test ./internal/importtest

check: lint race e2e ## what CI runs

fuzz: ## fuzz every target for FUZZTIME each
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

vuln: ## look for known vulnerabilities; VULNDB may be a file:// copy
	$(TOOL) govulncheck -db $(VULNDB) ./...

cover: packages ## write coverage.out and print the total
	$(GO) test -coverprofile=coverage.out -coverpkg=./... ./...
	$(GO) tool cover -func=coverage.out | tail -n 1

bench: ## measure against plain git, write the table to bench.md
	$(GO) test -run '^TestTable$$' -count 1 -timeout 60m -v ./internal/bench -args -table '$(CURDIR)/bench.md'

screenshots: packages ## take the pictures of the README from a fresh sandbox
	$(GO) test -run '^TestPictures$$' -count 1 ./internal/e2e -args -pictures '$(CURDIR)/docs/pictures'

clean: ## remove what was built
	rm -rf bin coverage.out

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages:
	@bash .ci/packages
