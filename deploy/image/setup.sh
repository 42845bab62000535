#!/bin/sh
# setup.sh PROGRAM ARG…: become PROGRAM. Before that, where it is to be a worker, make a runtime of
# each Polars whose wheel came with the image, in the folder of this script, with the Python of this
# container. The package index is asked for nothing but what PYTHON_REQUIREMENTS names.
# SPDX-License-Identifier: Apache-2.0
#
# The names are the official image's: POLARS_WHL_DIR, UV_PATH, POLARS_EXTRAS, PYTHON_REQUIREMENTS.
set -eu
here=$(dirname "$0")
wheels=${POLARS_WHL_DIR:-$here/whl}
uv=${UV_PATH:-$here/bin/uv}
runtimes=${PC_CUBLET__worker__runtimes_dir:-$here/runtimes}
export UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never

# Scripts of packages need none of our secrets.
plain() (
  for name in $(env | sed -n 's/^\(PC_CUBLET__[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
  exec "$@"
)

install() { plain "$uv" pip install --quiet --python "$new/bin/python" --find-links "$wheels" "$@"; }

# An extra whose wheels are not in the image is done without.
add_extras() {
  for extra in $(printf %s "${POLARS_EXTRAS:-}" | tr ',' ' '); do
    install --no-index "polars[$extra]==$1" 2>/dev/null ||
      echo "setup.sh: this image has no wheels for polars[$extra]; name the packages in PYTHON_REQUIREMENTS" >&2
  done
}

# Under another name until it is whole: a container that is started again makes it anew or finds it.
add_runtime() {
  new=$runtimes/.polars-$1
  rm -rf "$new"
  plain "$uv" venv --quiet --relocatable --python python3 "$new"
  install --no-index "polars[rt64]==$1" cloudpickle protobuf
  add_extras "$1"
  [ -z "${PYTHON_REQUIREMENTS:-}" ] || install --requirement "$PYTHON_REQUIREMENTS"
  mv "$new" "$runtimes/polars-$1"
}

case ${PC_CUBLET__worker__enabled:-} in true | 1 | yes)
  mkdir -p "$runtimes"
  for wheel in "$wheels"/polars-[0-9]*.whl; do
    version=$(basename "$wheel" | cut -d- -f2)
    [ -d "$runtimes/polars-$version" ] || add_runtime "$version"
  done
  export PC_CUBLET__worker__runtimes_dir="$runtimes"
  ;;
esac
exec "$@"
