#!/usr/bin/env bash
# Install RELION, 125 MB with what it needs (Debian 12: version 3.1.3).
set -euo pipefail
exec "$(dirname "$0")/../apt.sh" relion_preprocess relion
