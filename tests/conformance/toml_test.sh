#!/bin/sh
# toml_test.sh DECODER VERSION: every case of toml-test for TOML 1.0, valid and invalid. The tool is
# built once and kept. Without Go, or when the tool cannot be had, the test is skipped, with a word.
# SPDX-License-Identifier: Apache-2.0
decoder=$1
version=$2
bin=${XDG_CACHE_HOME:-$HOME/.cache}/floe/toml-test-$version
if [ ! -x "$bin/toml-test" ]; then
  GOBIN=$bin go install "github.com/toml-lang/toml-test/v2/cmd/toml-test@$version" || {
    echo "skipped: toml-test $version could not be installed (needs Go and its module proxy)"
    exit 77
  }
fi
NO_COLOR=1 exec "$bin/toml-test" test -toml=1.0 -timeout=10s -decoder="$decoder"
