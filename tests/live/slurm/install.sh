#!/usr/bin/env bash
# Install Slurm and munge, 28 MB (Debian 12: versions 22.05.8 and 0.5.15). The tests start daemons of their own.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
"$(dirname "$0")/../apt.sh" slurmctld slurm-wlm
exec "$(dirname "$0")/../apt.sh" munged munge
