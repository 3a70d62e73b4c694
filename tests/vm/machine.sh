# shellcheck shell=bash
# Sourced by test.sh and exact.sh: an emulated machine, and the copy of the project that it has at /vagrant.
#
# SAYS              how its lines begin; who sources this sets it
# KERNEL_OPTIONS    more for the command line of the machine's kernel
# VM_TIME_LIMIT_S   when a boot is given up (default 5400: emulated, provisioning takes up to half an hour)

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
# shellcheck disable=SC2034 # for who sources this
PYTHON=${DMMLAB_VENV:-$PROJECT/.venv}/bin/python
LIMIT_S=${VM_TIME_LIMIT_S:-5400}

say() { printf '%s: %s\n' "$SAYS" "$*"; }

for program in qemu-system-x86_64 debootstrap; do
    command -v "$program" >/dev/null || {
        say "$program is missing: apt-get install qemu-system-x86 debootstrap" >&2
        exit 2
    }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/dmmlab-vm-XXXXXX")
share=$work/project
left=$share/results/vm # what the machine leaves
qemu=
tidy() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT

# A copy of what git has or would add: the machine may write to it, and nothing else of this one comes in.
share_project() {
    mkdir "$share"
    # shellcheck disable=SC2016 # expanded by the inner shell
    (cd "$PROJECT" && git ls-files -z --cached --others --exclude-standard |
        xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh |
        tar --null -T - -c) | tar -C "$share" -x
    mkdir -p "$left"
}

# boot MACHINE DISK WHAT ACCELERATOR…: boots a machine that root.sh made with a disk (and QEMU's options for it), which runs
# tests/vm/WHAT.sh; shows its log as it comes, and returns its status.
boot() {
    local machine=$1 disk=$2 what=$3 began=$SECONDS shown=0 size log=$left/$3.log
    shift 3
    say "booting with $*"
    chown -R 1000:1000 "$share" # the machine's user
    qemu-system-x86_64 -machine q35 -accel "$@" -nodefaults -display none -no-reboot -m 4096 \
        -kernel "$machine/vmlinuz" -initrd "$machine/initrd.img" \
        -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet ${KERNEL_OPTIONS:-} dmmlab=$what" \
        -serial "file:$left/$what.console" \
        -drive "file=$disk,format=raw,if=virtio,cache=unsafe" \
        -netdev user,id=net -device virtio-net-pci,netdev=net -device virtio-rng-pci \
        -virtfs "local,path=$share,mount_tag=project,security_model=passthrough" </dev/null 2>"$work/$what.qemu" &
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
    printf '{"accelerator": "%s", "wall_s": %d}\n' "$1" "$((SECONDS - began))" >"$left/$what.json"
    [ "$(cat "$left/$what.status" 2>/dev/null)" = 0 ]
}

last_words() { # of a machine in which something failed, from the folder where its files are
    say 'the session in the machine failed; its last words:' >&2
    tail -n 5 "$1"/*.log "$1"/*.console "$work"/*.qemu >&2 || true
}
