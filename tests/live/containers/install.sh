#!/usr/bin/env bash
# Install what builds and runs a Dockerfile without a daemon, make a bare Debian to start from, and build the wheel.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
"$here/../apt.sh" buildah buildah
"$here/../apt.sh" debootstrap debootstrap
if [ ! -e .live/containers/bookworm.made ]; then
  rm -rf .live/containers/bookworm
  mkdir -p .live/containers
  debootstrap --variant=minbase bookworm .live/containers/bookworm
  touch .live/containers/bookworm.made
fi
"$here/../python/install.sh"
