#!/usr/bin/env bash
# What the user `vagrant` does when the machine comes up again with an instruction-counted clock: every
# method once more, one session at a time.
set -euo pipefail
cd /vagrant
# shellcheck source=/dev/null
. "$HOME/.profile"
status=0
dmmlab run tests/vm/one-by-one.yaml --runtime native --out results/vm/counted/one-by-one --profile || status=$?
[ "$status" -le 1 ]
