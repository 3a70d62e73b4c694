#!/usr/bin/env bash
# What `vagrant provision` does in the machine, as its user, who has sudo: the set-up that `make` does, too, and a login
# shell that finds it. May be run as often as you like. `make vm-test` runs this same file.
#
# The environment stays out of the synced folder: symbolic links fail on some of them, and the host's own .venv may be there.
set -euo pipefail

export DMMLAB_VENV="$HOME/.venvs/dmmlab"
bash "$(dirname "${BASH_SOURCE[0]}")/provision.sh"
# shellcheck disable=SC2016 # expanded when the shell starts
line='export DMMLAB_VENV="$HOME/.venvs/dmmlab" PATH="$HOME/.venvs/dmmlab/bin:$PATH"'
grep -qxF "$line" "$HOME/.profile" 2>/dev/null || printf '%s\n' "$line" >>"$HOME/.profile"
