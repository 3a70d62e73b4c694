#!/usr/bin/env bash
# Scenarios in the virtual-time guest on another machine: emulated by QEMU, with a processor of another model and Debian 12's
# own kernel; with the guest's kernel, the programs and the packages that this machine has. What comes out is to be the same
# to the byte as what comes out here (tests/exact/exact.sh holds it against that).
#
#   tests/vm/exact.sh OUT CPU [SCENARIO...]     CPU is a model of `qemu-system-x86_64 -cpu help`; default scenario: two-mr
#
# Leaves OUT/CPU/SCENARIO/, the run directories, and OUT/CPU/machine.json: processor, kernel, wall time, and in what the
# machine differs from this one. Needs root (debootstrap), qemu-system-x86, debootstrap, and a guest's kernel.
#
# Exit status       0 the runs are there and valid, 1 they are not, 2 this machine cannot do it
set -euo pipefail

SAYS=vm-exact
# shellcheck source=tests/vm/machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
[ "$#" -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
OUT=$1/$2
CPU=$2
shift 2
scenarios=("${@:-two-mr}")

kernel=$("$PYTHON" -c 'from dmmlab.guest.cache import find_kernel; print(find_kernel().path.parent)') || exit 2
machine=$("$HERE/root.sh" --provisioned)
share_project
"$PYTHON" -m compileall -q -s "$share" -p /vagrant "$share" >/dev/null || true # emulated, it takes a minute
mkdir "$left/kernels"
cp -r "$kernel" "$left/kernels/"
for scenario in "${scenarios[@]}"; do
    if [ -f "$scenario" ]; then
        cp "$scenario" "$left/"
        scenario=$(basename "$scenario")
    fi
    printf '%s\n' "$scenario"
done >"$left/scenarios"

# Without mitigations: some of them empty the emulator's caches at each system call.
KERNEL_OPTIONS=mitigations=off
status=0
boot "$machine" "$machine/disk.raw,snapshot=on" virtual 'tcg,thread=multi' -cpu "$CPU" -smp 1 || status=$?
rm -rf "$OUT"
mkdir -p "$OUT"
cp "$left"/virtual.* "$OUT/"
[ ! -d "$left/runs" ] || cp -r "$left/runs/." "$OUT/"
if [ "$status" != 0 ]; then
    last_words "$OUT"
    exit 1
fi
"$PYTHON" "$HERE/machine.py" "$OUT" "$CPU"
