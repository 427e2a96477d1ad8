#!/usr/bin/env bash
# Install Debian's Firefox.
set -euo pipefail
exec "$(dirname "$0")/../apt.sh" firefox-esr firefox-esr
