#!/usr/bin/env bash
# Build the wheel into .live/python/dist, with tools in an environment of their own; uv finds the lowest versions.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tools=.live/python/tools
if [ ! -x "$tools/bin/uv" ]; then
  "${PYTHON:-python3}" -m venv "$tools"
  "$tools/bin/pip" install --quiet 'build>=1' 'setuptools>=77' wheel uv
fi
rm -rf .live/python/dist
"$tools/bin/python" -m build --no-isolation --outdir .live/python/dist . >.live/python/build.log 2>&1 ||
  { tail -20 .live/python/build.log >&2; exit 1; }
