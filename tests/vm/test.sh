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
# VM_TIME_LIMIT_S   when a boot is given up (default 5400: emulated, provisioning takes up to half an hour)
# Exit status       0 all holds, 1 something does not, 2 this machine cannot do it
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
OUT=${1:-$PROJECT/results/vm}
PYTHON=${DMMLAB_VENV:-$PROJECT/.venv}/bin/python
LIMIT_S=${VM_TIME_LIMIT_S:-5400}

say() { printf 'vm-test: %s\n' "$*"; }

for program in qemu-system-x86_64 debootstrap; do
    command -v "$program" >/dev/null || {
        say "$program is missing: apt-get install qemu-system-x86 debootstrap" >&2
        exit 2
    }
done

machine=$("$HERE/root.sh")
work=$(mktemp -d "${TMPDIR:-/tmp}/dmmlab-vm-XXXXXX")
share=$work/project
qemu=
tidy() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
cp --sparse=always "$machine/disk.raw" "$work/disk.raw"

mkdir "$share"
# A copy of what git has or would add: the machine may write to it, and nothing else of this one comes in.
cd "$PROJECT"
# shellcheck disable=SC2016 # expanded by the inner shell
git ls-files -z --cached --others --exclude-standard |
    xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh |
    tar --null -T - -c | tar -C "$share" -x
mkdir -p "$share/results/vm"
chown -R 1000:1000 "$share" # the machine's user

common=(-nodefaults -display none -no-reboot -kernel "$machine/vmlinuz")
# Some machines have a /dev/kvm that opens and then runs nothing: it is believed when a kernel has spoken. (This one finds
# no root, panics, and is gone.)
accelerator=('tcg,thread=multi' -cpu max)
if [ -w /dev/kvm ] && timeout 20 qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 512 "${common[@]}" \
    -serial stdio -append 'console=ttyS0 panic=-1' </dev/null 2>/dev/null | grep -q 'Linux version'; then
    accelerator=(kvm -cpu host)
fi

# boot WHAT ACCELERATOR…: runs tests/vm/WHAT.sh in the machine, shows its log as it comes, and returns its status.
boot() {
    local what=$1 began=$SECONDS shown=0 size log=$share/results/vm/$1.log
    shift
    say "booting with $*"
    qemu-system-x86_64 -machine q35 -accel "$@" "${common[@]}" -m 4096 -initrd "$machine/initrd.img" \
        -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet dmmlab=$what" \
        -serial "file:$share/results/vm/$what.console" \
        -drive "file=$work/disk.raw,format=raw,if=virtio,cache=unsafe" \
        -netdev user,id=net -device virtio-net-pci,netdev=net -device virtio-rng-pci \
        -virtfs "local,path=$share,mount_tag=project,security_model=passthrough" </dev/null &
    qemu=$!
    while kill -0 "$qemu" 2>/dev/null; do
        sleep 2
        if [ -f "$log" ]; then
            size=$(stat -c %s "$log")
            tail -c "+$((shown + 1))" "$log" | head -c "$((size - shown))" || true
            shown=$size
        fi
        if [ "$((SECONDS - began))" -gt "$LIMIT_S" ]; then
            say "given up after $LIMIT_S s" >&2
            kill "$qemu"
            break
        fi
    done
    wait "$qemu" || true
    qemu=
    printf '{"accelerator": "%s", "wall_s": %d}\n' "$1" "$((SECONDS - began))" >"$share/results/vm/$what.json"
    [ "$(cat "$share/results/vm/$what.status" 2>/dev/null)" = 0 ]
}

status=0
boot up "${accelerator[@]}" -smp 2 || status=$?
believed() { grep -q '"outcome": "ok"' "$share/results/vm/native/two-mr/outcome.json"; }
if [ "$status" = 0 ] && { [ "${accelerator[0]}" != kvm ] || ! believed; }; then
    boot counted 'tcg,thread=single' -icount shift=0,sleep=off -cpu max -smp 1 || status=$?
fi
rm -rf "$OUT"
mkdir -p "$OUT"
cp -r "$share/results/vm/." "$OUT/"
say "all in $SECONDS s; what the machine left is in $OUT"
if [ "$status" != 0 ]; then
    say 'the session in the machine failed; its last words:' >&2
    tail -n 5 "$OUT"/*.log "$OUT"/*.console >&2 || true
    exit 1
fi
"$PYTHON" "$HERE/verdict.py" "$OUT"
