#!/usr/bin/env bash
# `make exact`: the same scenarios, however and wherever they are run: captures, logs and tables must be the same bytes.
#
#   tests/exact/exact.sh OUT [PART...]     default: twice busy masked leak; further: user machines, or all
#
# twice     two runs, one after the other, on different processors
# busy      beside a load on every processor
# masked    with processor features masked, no byte code to be found, and more memory
# leak      with a deliberate leak, which must be found
# user      another user, in a clone of his own at another depth, with his own environment and kernel (needs root; it takes
#           10 minutes)
# machines  in QEMU machines with two other processor models and Debian's own kernel (needs root; tests/vm/exact.sh)
#
# Exit status 0 if all is the same and the leak was found, 1 if not, 2 where this machine cannot do a part.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
PYTHON=${DMMLAB_VENV:-$PROJECT/.venv}/bin/python
CPUS=(SandyBridge Haswell) # without AVX2, and with it; older ones have no seccomp mode of User-mode Linux
OUT=${1:?where to}
shift
parts=("$@")
[ "${#parts[@]}" -gt 0 ] || parts=(twice busy masked leak)
[ "${parts[0]}" != all ] || parts=(twice busy masked leak user machines)

say() { printf 'exact: %s\n' "$*"; }
exact() { "$PYTHON" "$HERE/exact.py" "$@"; }

rm -rf "$OUT"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
say 'what all are held against'
exact run "$OUT/first"

busy() {
    local burners=() status=0 n
    for ((n = 0; n < $(nproc); n++)); do
        "$PYTHON" -c 'while True: pass' &
        burners+=($!)
    done
    exact run "$OUT/busy" || status=$?
    kill "${burners[@]}"
    return "$status"
}

# As a user without a name or a home: the kernel's cache, the environment and the clone are in one folder, which goes.
user() {
    local id=61111 place clone
    [ "$(id -u)" = 0 ] || { say 'another user needs root'; return 2; }
    place=$(mktemp -d /var/tmp/dmmlab-exact-XXXXXX)
    clone=$place/some/steps/further/down/clone
    mkdir -p "$(dirname "$clone")"
    git clone -q "$PROJECT" "$clone"
    chown -R "$id:$id" "$place"
    local -a as=(setpriv "--reuid=$id" "--regid=$id" --clear-groups env -i "HOME=$place" "PATH=$PATH" LANG=C
        ${XDG_CONFIG_DIRS:+"XDG_CONFIG_DIRS=$XDG_CONFIG_DIRS"} ${PIP_CONFIG_FILE:+"PIP_CONFIG_FILE=$PIP_CONFIG_FILE"})
    local status=0
    (cd "$clone" && "${as[@]}" make kernel && "${as[@]}" .venv/bin/python tests/exact/exact.py run "$place/out") || status=$?
    [ "$status" != 0 ] || cp -r "$place/out" "$OUT/user"
    rm -rf "$place"
    return "$status"
}

machines() {
    local cpu
    for cpu in "${CPUS[@]}"; do
        "$PROJECT/tests/vm/exact.sh" "$OUT/machines" "$cpu" "$HERE"/*.yaml
    done
}

for part in "${parts[@]}"; do
    say "part: $part"
    case $part in
        twice) exact run "$OUT/twice" ;;
        busy) busy ;;
        masked) exact run "$OUT/masked" --masked ;;
        leak) exact run "$OUT/leak" two-mr --leak ;;
        user) user ;;
        machines) machines ;;
        *) say "there is no part $part: twice busy masked leak user machines" >&2 && exit 2 ;;
    esac
done

status=0
for made in "$OUT"/{twice,busy,masked,user} "$OUT"/machines/*; do
    [ ! -d "$made" ] || exact compare "$OUT/first" "$made" || status=1
done
if [ -d "$OUT/leak" ]; then
    if exact compare "$OUT/first" "$OUT/leak" >"$OUT/leak.log"; then
        say 'THE DELIBERATE LEAK WAS NOT FOUND'
        status=1
    else
        say "the deliberate leak was found: $(head -n 1 "$OUT/leak.log")"
    fi
fi
if [ "$status" = 0 ]; then say 'all is the same'; else say 'NOT THE SAME'; fi
exit "$status"
