# hygiene_exporter. On a fresh machine with Go: `make run` and `make test`.

GO      ?= go
BUILD   := .build
BINARY  := $(BUILD)/hygiene_exporter
TOOLS   := $(BUILD)/tools
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null || echo 0.0.0)
REVISION := $(firstword $(shell git rev-parse --verify -q HEAD) unknown)
ABOUT   := github.com/prometheus/common/version
LDFLAGS := -s -w -X $(ABOUT).Version=$(VERSION) -X $(ABOUT).Revision=$(REVISION)
AREA    ?=

export HYGIENE_TOOLS := $(abspath $(TOOLS))
export HYGIENE_BIN   := $(abspath $(BINARY))

.PHONY: all run demo build test test-live test-full bench fuzz lint docs review package packages tools clean
all: build

run: build ## Build the agent and run it on its defaults, on this host.
	$(BINARY)

demo: build ## The whole line on loopback: agent, Prometheus, Alertmanager, and a receiver that prints pages.
	@command -v prometheus alertmanager >/dev/null || $(MAKE) tools
	cd test && $(GO) run ./demo

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/hygiene_exporter

test: ## Hermetic: no root, no network beyond Go modules.
	$(GO) vet ./...
	$(GO) test ./...

test-live: build tools packages ## The real systems as oracles; root on Debian. AREA=test/e2e or AREA=probes/patch runs one part.
	cd test && $(GO) vet -tags live ./... && cd virtual && $(GO) vet ./...
ifeq ($(AREA),test/virtual)
	cd test/virtual && $(GO) test -count=1 -v -timeout 90m .
else ifneq ($(filter-out test/%,$(AREA)),$(AREA))
	cd test && $(GO) test -tags live -count=1 -v -timeout 40m ./$(AREA:test/%=%)/...
else ifneq ($(AREA),)
	$(GO) test -tags live -count=1 -v -timeout 40m -run Live ./$(AREA)/...
else
	cd test/virtual && $(GO) test -count=1 -v -timeout 90m .
	cd test && $(GO) test -tags live -count=1 -v -timeout 40m ./...
	$(GO) test -tags live -count=1 -v -timeout 40m -run Live ./...
endif

packages: ## Debian packages of the real systems; see test/packages.txt.
	test/packages.sh

test-full: export HYGIENE_FULL = 1
test-full: test-live ## As test-live, with the whole of each matrix.
	$(GO) test -race -count=1 ./...

bench: build tools $(TOOLS)/node_exporter ## Speed and memory, as ratios against a peer or a limit in the same run.
	$(GO) test -run '^$$' -bench . -benchtime 100x -benchmem ./...
	cd test && $(GO) test -tags bench -count=1 -v -timeout 60m ./bench

FUZZTIME ?= 30s
fuzz: ## Each fuzz target for FUZZTIME.
	@$(GO) list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r package dir; do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | cut -c6-); do \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; done; done

lint: $(TOOLS)/golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(TOOLS)/golangci-lint run --build-tags live ./...
	cd test && $(abspath $(TOOLS))/golangci-lint run --config ../.golangci.yml --build-tags live,bench ./...

docs: ## Rewrite the generated reference and the dashboards.
	$(GO) test ./config ./cmd/... -run Docs -update
	$(GO) run ./dashboards/generate

review: ## A page for each dashboard in .build/review, with the values of healthy and degraded hosts.
	$(GO) run ./dashboards/generate --review=$(BUILD)/review

package: build $(TOOLS)/nfpm ## deb and rpm in .build.
	for format in deb rpm; do VERSION=$(VERSION) GOARCH=$$($(GO) env GOARCH) $(TOOLS)/nfpm package -f packaging/nfpm.yaml -p $$format -t $(BUILD)/ || exit 1; done

tools: $(addprefix $(TOOLS)/,prometheus promtool alertmanager amtool versitygw kopia restic rest-server)
$(TOOLS)/prometheus $(TOOLS)/promtool: test/tools/prometheus/go.mod
	cd $(<D) && $(GO) build -tags remove_all_sd -o $(HYGIENE_TOOLS)/$(@F) github.com/prometheus/prometheus/cmd/$(@F)
$(TOOLS)/alertmanager $(TOOLS)/amtool: test/tools/alertmanager/go.mod
	cd $(<D) && $(GO) build -o $(HYGIENE_TOOLS)/$(@F) github.com/prometheus/alertmanager/cmd/$(@F)
$(TOOLS)/restic: test/tools/restic/go.mod
	cd $(<D) && CGO_ENABLED=0 $(GO) build -trimpath -tags disable_grpc_modules -ldflags '-s -w' -o $(HYGIENE_TOOLS)/$(@F) github.com/restic/restic/cmd/restic
$(TOOLS)/rest-server: test/tools/restic/go.mod
	cd $(<D) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(HYGIENE_TOOLS)/$(@F) github.com/restic/rest-server/cmd/rest-server
$(TOOLS)/versitygw: test/tools/s3/go.mod
	cd $(<D) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(HYGIENE_TOOLS)/$(@F) github.com/versity/versitygw/cmd/versitygw
$(TOOLS)/kopia: test/tools/kopia/go.mod
	cd $(<D) && $(GO) build -trimpath -tags nohtmlui -ldflags '-s -w' -o $(HYGIENE_TOOLS)/$(@F) github.com/kopia/kopia
$(TOOLS)/node_exporter: test/tools/nodeexporter/go.mod
	cd $(<D) && CGO_ENABLED=0 $(GO) build -o $(HYGIENE_TOOLS)/$(@F) github.com/prometheus/node_exporter
$(TOOLS)/golangci-lint: test/tools/lint/go.mod
	cd $(<D) && $(GO) build -o $(HYGIENE_TOOLS)/$(@F) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/nfpm: test/tools/nfpm/go.mod
	cd $(<D) && $(GO) build -o $(HYGIENE_TOOLS)/$(@F) github.com/goreleaser/nfpm/v2/cmd/nfpm

clean:
	rm -rf $(BUILD)
