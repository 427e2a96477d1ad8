#!/usr/bin/env bash
# Install Scipion's libraries and our plugin into .live/scipion, 0.7 GB; no installer and no display are needed.
set -euo pipefail
cd "$(dirname "$0")/../../.."
if ! [ -d integrations/scipion-em-vitripick ]; then
  echo "The plugin for Scipion is not in the source archive; these tests need a clone." >&2
  exit 1
fi
venv=.live/scipion/venv
if ! [ -e "$venv/.installed" ]; then
  # Older versions of pwem need older Pythons; these are the versions that docs/scipion.md names.
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'scipion-app==3.8.*' 'scipion-em==3.11.*' 'scipion-pyworkflow==3.11.*'
  touch "$venv/.installed"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -e integrations/scipion-em-vitripick
