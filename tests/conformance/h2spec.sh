#!/bin/sh
# h2spec.sh SERVER VERSION: every case of h2spec, the strict ones too, against grpc_test_server, in
# plaintext and over TLS. The tool is built once and kept. Without Go, or when the tool cannot be
# had, the test is skipped, with a word. SPDX-License-Identifier: Apache-2.0
server=$1
version=$2
bin=${XDG_CACHE_HOME:-$HOME/.cache}/floe/h2spec-$version
if [ ! -x "$bin/h2spec" ]; then
  GOBIN=$bin go install "github.com/summerwind/h2spec/cmd/h2spec@$version" || {
    echo "skipped: h2spec $version could not be installed (needs Go and its module proxy)"
    exit 77
  }
fi

tmp=$(mktemp -d)
pid=
cleanup() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null
  rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# judge NAME [CERT KEY]: the verdict, and what failed
judge() {
  name=$1
  shift
  rm -f "$tmp/port"
  "$server" 0 "$@" >"$tmp/port" &
  pid=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    grep -qs port "$tmp/port" && break
    sleep 0.2
  done
  "$bin/h2spec" --strict ${1:+--tls --insecure} --port "$(cut -d' ' -f2 "$tmp/port")" >"$tmp/out" 2>&1
  verdict=$?
  [ $verdict = 0 ] || sed -n '/^Failures/,$p' "$tmp/out"
  echo "h2spec $name: $(tail -n1 "$tmp/out")"
  kill "$pid" && wait "$pid"
  ended=$?
  pid=
  [ $ended = 0 ] || echo "the server ended with $ended"
  [ $verdict = 0 ] && [ $ended = 0 ]
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1 \
  -keyout "$tmp/key" -out "$tmp/cert" 2>/dev/null

judge plaintext && judge TLS "$tmp/cert" "$tmp/key"
