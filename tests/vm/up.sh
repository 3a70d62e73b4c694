#!/usr/bin/env bash
# What the user `vagrant` does in the machine when it is up for the first time: provisions it twice, as `vagrant provision`
# would, then runs scenario two-mr natively. What is to be judged outside is left in results/vm/.
set -euo pipefail
cd /vagrant

step() { printf '\n=== %s (%d s after login)\n' "$1" "$SECONDS"; }

step 'provisioning'
bash /vagrant/machine/vagrant.sh
took=$SECONDS
step 'provisioning again: must change nothing'
before=$(dpkg-query -W | sha256sum)
bash /vagrant/machine/vagrant.sh | tee results/vm/again.log
[ "$(dpkg-query -W | sha256sum)" = "$before" ]
printf '{"first_s": %d, "again_s": %d}\n' "$took" "$((SECONDS - took))" >results/vm/provisioning.json
# shellcheck source=/dev/null
. "$HOME/.profile"

step 'dmmlab doctor'
dmmlab doctor --json >results/vm/doctor.json || true
dmmlab doctor || true

step 'make run RUNTIME=native'
status=0
make run RUNTIME=native RESULTS=results/vm/native || status=$?
step "make run ended with status $status"
# make says 2 where a run does not hold, which is judged outside.
[ "$status" -le 2 ]
