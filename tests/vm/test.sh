#!/usr/bin/env bash
# `make vm-test`: the Vagrant machine without Vagrant. A Debian 12 root is made (cached) and booted in QEMU with Debian's own
# kernel, by KVM where that works and by software emulation elsewhere; in it the Vagrantfile's provisioning and a native
# run of two-mr with every method, in real time. Results, log and status come out and are judged.
#
#   tests/vm/test.sh [OUT]      default results/vm; needs root (debootstrap), qemu-system-x86, debootstrap
#
# VM_TIME_LIMIT_S   when it is given up (default 5400: emulated, it takes the better part of an hour)
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
share=$(mktemp -d "${TMPDIR:-/tmp}/dmmlab-vm-XXXXXX")
qemu=
tidy() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$share"
}
trap tidy EXIT

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
accelerator=(-machine q35 -accel 'tcg,thread=multi' -cpu max)
if [ -w /dev/kvm ] && timeout 20 qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 512 "${common[@]}" \
    -serial stdio -append 'console=ttyS0 panic=-1' </dev/null 2>/dev/null | grep -q 'Linux version'; then
    accelerator=(-machine q35 -accel kvm -cpu host)
fi
say "booting with ${accelerator[3]}, 2 virtual CPUs"

began=$SECONDS
qemu-system-x86_64 "${accelerator[@]}" "${common[@]}" -smp 2 -m 4096 -initrd "$machine/initrd.img" \
    -append 'root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet' -serial "file:$share/console.log" \
    -drive "file=$machine/disk.raw,format=raw,if=virtio,snapshot=on,cache=unsafe" \
    -netdev user,id=net -device virtio-net-pci,netdev=net -device virtio-rng-pci \
    -virtfs "local,path=$share,mount_tag=project,security_model=passthrough" </dev/null &
qemu=$!

log=$share/results/vm/session.log
shown=0
while kill -0 "$qemu" 2>/dev/null; do
    sleep 2
    if [ -f "$log" ]; then
        size=$(stat -c %s "$log")
        tail -c "+$((shown + 1))" "$log" | head -c "$((size - shown))"
        shown=$size
    fi
    if [ "$((SECONDS - began))" -gt "$LIMIT_S" ]; then
        say "given up after $LIMIT_S s" >&2
        break
    fi
done
took=$((SECONDS - began))

rm -rf "$OUT"
mkdir -p "$OUT"
cp -r "$share/results/vm/." "$share/console.log" "$OUT/"
printf '{"accelerator": "%s", "wall_s": %d}\n' "${accelerator[3]}" "$took" >"$OUT/machine.json"
say "the machine was up for $took s; what it left is in $OUT"
[ "$(cat "$OUT/status" 2>/dev/null)" = 0 ] || {
    say "the session in the machine failed: status $(cat "$OUT/status" 2>/dev/null || echo none)" >&2
    tail -n 5 "$OUT/session.log" "$OUT/console.log" >&2 || true
    exit 1
}
"$PYTHON" "$HERE/verdict.py" "$OUT"
