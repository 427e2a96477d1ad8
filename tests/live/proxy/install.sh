#!/usr/bin/env bash
# Install nginx and the browser, which come to the page through https.
set -euo pipefail
"$(dirname "$0")/../apt.sh" nginx nginx-light
"$(dirname "$0")/../apt.sh" openssl openssl
exec "$(dirname "$0")/../apt.sh" chromium chromium
