#!/usr/bin/env bash
# What the user `vagrant` does when the machine comes up again with an instruction-counted clock: every
# method once more, one session at a time, in IPv6 and in IPv4.
set -euo pipefail
cd /vagrant
# shellcheck source=/dev/null
. "$HOME/.profile"
for name in one-by-one-ipv6 one-by-one; do
    status=0
    dmmlab run "tests/vm/$name.yaml" --runtime native --out "results/vm/counted/$name" --profile || status=$?
    [ "$status" -le 1 ]
done
