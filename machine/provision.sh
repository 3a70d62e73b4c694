#!/usr/bin/env bash
# Sets a Debian or Ubuntu machine up for dmmlab: system packages, a Python environment, and the view of the sources for
# editors. `make`, the Vagrantfile and people run this same script. It makes only what is missing, as often as you like.
#
#   machine/provision.sh [--skip-apt] [--skip-venv] [--no-dev] [--tests] [--locked]
#
# --locked      the exact versions of requirements.lock instead of the newest that fit
# DMMLAB_VENV   where the environment goes (default: .venv in the project)
# DMMLAB_PYTHON the Python to make it with (default: the system's, if it is at least 3.11)
# DMMLAB_REQUIRE_SUMO  1: SUMO, too, with which a test makes a trace (else it skips)
# Exit status   0 all there, 1 something failed, 2 packages are missing and there is no privilege to install them
set -euo pipefail

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${DMMLAB_VENV:-$PROJECT/.venv}
EXTRA='[dev]'
[ "${DMMLAB_REQUIRE_SUMO:-}" = 1 ] && EXTRA='[dev,sumo]'
LOCK=()
APT=yes
PYTHON_PART=yes
TESTS=no

# To build the guest's kernel; to run emulated hosts; to make the environment.
PACKAGES=(
    ca-certificates make gcc libc6-dev binutils patch flex bison bc libelf-dev libssl-dev xz-utils
    mininet openvswitch-switch dnsmasq-base udhcpc tcpdump iproute2 iputils-ping ethtool iperf3
    bind9 bind9-dnsutils unbound procps
    python3 python3-venv
)
# What only tests run: browser, dissector, linters. Without them, and without CI's insistence, those tests skip.
TEST_PACKAGES=(chromium chromium-driver tshark shellcheck vagrant)
# Daemons that emulated hosts run for themselves; the system's own instances would fight over port 53.
SERVICES=(named unbound)

say() { printf 'provision: %s\n' "$*"; }
die() {
    local status=$1
    shift
    printf 'provision: %s\n' "$*" >&2
    exit "$status"
}

for option in "$@"; do
    case $option in
        --skip-apt) APT=no ;;
        --skip-venv) PYTHON_PART=no ;;
        --no-dev) EXTRA='' ;;
        --tests) TESTS=yes ;;
        --locked) LOCK=(--constraint "$PROJECT/requirements.lock") ;;
        -h | --help)
            sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *) die 1 "unknown option $option (--skip-apt, --skip-venv, --no-dev, --tests, --locked)" ;;
    esac
done

missing_packages() {
    local installed package
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii  *//p') || true
    for package in "$@"; do
        grep -qxF "$package" <<<"$installed" || printf '%s\n' "$package"
    done
}

# Run a command as root: directly, or with sudo if that asks nothing.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi
}

install_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages "${PACKAGES[@]}")
    if [ "$TESTS" = yes ] && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        mapfile -t -O "${#missing[@]}" missing < <(missing_packages "${TEST_PACKAGES[@]}")
    fi
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        die 2 "missing packages and no privilege to install them: sudo apt-get install ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    as_root apt-get -q update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"
    quiet_services "${missing[@]}"
}

# Stop and disable the system's name servers, but only those that came just now: what was there before is the user's.
quiet_services() {
    local service package
    [ -d /run/systemd/system ] || return 0
    for service in "${SERVICES[@]}"; do
        package=$service
        [ "$service" != named ] || package=bind9
        case " $* " in
            *" $package "*) as_root systemctl disable --now "$service" >/dev/null 2>&1 || say "could not disable $service" ;;
        esac
    done
}

# A Python of at least 3.11; the system's first. ryu builds on 3.11 only, later ones get os-ken.
find_python() {
    local candidate
    for candidate in ${DMMLAB_PYTHON:-} /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die 1 "no Python >= 3.11 with venv: apt-get install python3 python3-venv (Debian 12, Ubuntu 24.04 or newer)"
}

# Of an environment with the extra packages $1.
stamp() {
    cat "$PROJECT/setup.py" "$PROJECT/pyproject.toml" "${BASH_SOURCE[0]}" <(printf '%s' "$PROJECT $1 ${LOCK[*]}") |
        sha256sum | cut -d' ' -f1
}

# Byte code of all that is installed, on all processors: pip would make it one file after the other.
compile_all() { "$VENV/bin/python" -m compileall -q -j 0 "$VENV"/lib/python*/site-packages >/dev/null 2>&1 || true; }

make_environment() {
    local python
    if [ -x "$VENV/bin/python" ] && grep -qxF "$(stamp "$EXTRA")" "$VENV/.dmmlab-stamp" 2>/dev/null; then
        return
    fi
    if ! [ -x "$VENV/bin/python" ] || ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        python=$(find_python)
        say "creating $VENV with $python"
        "$python" -m venv --clear "$VENV"
    fi
    local -a pip=("$VENV/bin/python" -m pip --quiet --disable-pip-version-check install --no-compile)
    if "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        if ! "$VENV/bin/python" -c 'import importlib.metadata as m; assert m.version("ryu") == "4.34"' 2>/dev/null; then
            say "installing ryu"
            # ryu 4.34 is from 2020: newer setuptools no longer have the function its build calls.
            "${pip[@]}" setuptools==58.2.0 wheel
            "${pip[@]}" "${LOCK[@]}" --no-build-isolation ryu==4.34
        fi
    fi
    say "installing dmmlab$EXTRA"
    "${pip[@]}" "${LOCK[@]}" --editable "$PROJECT$EXTRA"
    compile_all
    { stamp '' && stamp "$EXTRA"; } >"$VENV/.dmmlab-stamp" # it is one without extra packages, too
}

# Dask, which only --scheduler and its tests use. In no stamp: whoever asks for less later must not make all anew.
add_cluster() {
    if "$VENV/bin/python" -c 'import distributed' 2>/dev/null; then return; fi
    say "installing dmmlab[cluster]"
    "$VENV/bin/python" -m pip --quiet --disable-pip-version-check install "${LOCK[@]}" --editable "${PROJECT}[cluster]"
}

# Static tools do not know that a folder is installed as dmmlab.<folder> (setup.py). Here is a tree in which it is one,
# which pyproject.toml and .vscode/settings.json name. On file systems that have no symbolic links there is none.
make_view() {
    local package
    mkdir -p "$PROJECT/.view/dmmlab"
    find "$PROJECT/.view/dmmlab" -xtype l -delete
    for package in "$PROJECT"/*/__init__.py; do
        [ -e "$package" ] || continue
        package=$(basename "$(dirname "$package")")
        ln -sfn "../../$package" "$PROJECT/.view/dmmlab/$package" || say "no view of $package for editors"
    done
}

if [ "$APT" = yes ]; then
    command -v dpkg-query >/dev/null || die 1 "this is not a Debian or Ubuntu machine: install the packages by hand, then --skip-apt"
    install_packages
fi
if [ "$PYTHON_PART" = yes ]; then make_environment; fi
if [ "$PYTHON_PART$TESTS" = yesyes ]; then add_cluster; fi
make_view
