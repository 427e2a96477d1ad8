#!/usr/bin/env bash
# Install packages of Debian if a program is missing: apt.sh PROGRAM PACKAGE...
set -euo pipefail
program=$1
shift
command -v "$program" >/dev/null && exit 0
if ! command -v apt-get >/dev/null; then
  echo "$program is missing, and this system has no apt-get; install it your way, so that it lies on the path." >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "$program is missing, and only root may install it: apt-get install --no-install-recommends $*" >&2
  exit 1
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
