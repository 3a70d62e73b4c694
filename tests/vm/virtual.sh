#!/usr/bin/env bash
# What the user `vagrant` does in a machine of exact.sh: the scenarios that it has named, in the virtual-time guest, with the
# guest's kernel that it brought.
set -euo pipefail
cd /vagrant/results/vm
mkdir -p ~/.cache/dmmlab
cp -r kernels ~/.cache/dmmlab/guest
mapfile -t scenarios <scenarios
exec ~/.venvs/dmmlab/bin/python /vagrant/tests/exact/exact.py run runs "${scenarios[@]}"
