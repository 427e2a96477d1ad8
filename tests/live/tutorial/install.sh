#!/usr/bin/env bash
# The second tutorial needs nothing but vitripick; it trains twice, which takes five minutes on two cores.
set -euo pipefail
