#!/usr/bin/env bash
# `make vm-test`: the Vagrant machine without Vagrant. A Debian 12 root is made (cached) and booted in QEMU with Debian's own
# kernel, by KVM where that works and by software emulation elsewhere, with two virtual CPUs; in it the Vagrantfile's
# provisioning, and a native run of two-mr with every method, in real time. Results, log and status come out and are judged.
#
# An emulated processor is some ten times too slow for its clock, and how much depends on what else this machine does: the
# run's own gate finds it invalid then. So without KVM, or if the gate did not believe that run, the machine is booted once
# more, with one CPU and a clock that counts instructions while it is busy (QEMU's -icount: 10^9 of them a second), and
# every method is tried in turn.
#
#   tests/vm/test.sh [OUT]      default results/vm; needs root (debootstrap), qemu-system-x86, debootstrap
#
# Exit status       0 all holds, 1 something does not, 2 this machine cannot do it
set -euo pipefail

SAYS=vm-test
# shellcheck source=tests/vm/machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
OUT=${1:-$PROJECT/results/vm}

machine=$("$HERE/root.sh")
cp --sparse=always "$machine/disk.raw" "$work/disk.raw"
share_project

# Some machines have a /dev/kvm that opens and then runs nothing: it is believed when a kernel has spoken. (This one finds
# no root, panics, and is gone.)
accelerator=('tcg,thread=multi' -cpu max)
if [ -w /dev/kvm ] && timeout 20 qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 512 -nodefaults -display none \
    -no-reboot -kernel "$machine/vmlinuz" -serial stdio -append 'console=ttyS0 panic=-1' </dev/null 2>/dev/null |
    grep -q 'Linux version'; then
    accelerator=(kvm -cpu host)
fi

status=0
boot "$machine" "$work/disk.raw" up "${accelerator[@]}" -smp 2 || status=$?
believed() { grep -q '"outcome": "ok"' "$left/native/two-mr/outcome.json"; }
if [ "$status" = 0 ] && { [ "${accelerator[0]}" != kvm ] || ! believed; }; then
    boot "$machine" "$work/disk.raw" counted 'tcg,thread=single' -icount shift=0,sleep=off -cpu max -smp 1 || status=$?
fi
rm -rf "$OUT"
mkdir -p "$OUT"
cp -r "$left/." "$OUT/"
say "all in $SECONDS s; what the machine left is in $OUT"
if [ "$status" != 0 ]; then
    last_words "$OUT"
    exit 1
fi
"$PYTHON" "$HERE/verdict.py" "$OUT"
