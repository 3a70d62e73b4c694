#!/usr/bin/env bash
# Makes the disk of a bare Debian 12 machine such as Vagrant's box is: Debian's own kernel, systemd, AppArmor, and a user
# `vagrant` who has sudo. Kept in the cache, and made again when what it is made from changes. Prints its folder.
#
#   tests/vm/root.sh [--provisioned]    needs root, debootstrap, mke2fs
#
# --provisioned   with what machine/provision.sh installs, in the versions that this machine has. It is done here, in the root
#                 before it becomes a disk, for emulated it takes more than ten minutes.
#
# Where Debian comes from, certificates and pip's index are read from this machine's own configuration.
set -euo pipefail

SUITE=bookworm
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
PYTHON=${DMMLAB_VENV:-$PROJECT/.venv}/bin/python
RECIPE=("$PROJECT/setup.py" "$PROJECT/pyproject.toml") # of the Python environment
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/dmmlab/vm
INCLUDE=systemd-sysv,udev,dbus,kmod,iproute2,iputils-ping,sudo,ca-certificates,apparmor,initramfs-tools,linux-image-amd64
DISK_GB=8

say() { printf 'vm: %s\n' "$*" >&2; }

# Lines of sources.list for the suite and its updates: those of this machine's apt if it is of that suite itself.
sources() {
    apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 2>/dev/null |
        grep -E " $SUITE(-updates|-security)? main$" | sed 's/^/deb /' || true
}

# What pip was told about its index, without what only means something on this machine.
pip_configuration() {
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n'
    { python3 -m pip config list 2>/dev/null || true; } | sed -nE \
        "s/^(global|:env:)\.(index-url|extra-index-url|trusted-host|proxy|default-timeout)='?([^']*)'?$/\2 = \3/p" |
        { grep -v 'file:' || true; } | sort -u
}

fill() {
    local root=$1 mirror=$2
    debootstrap --variant=minbase --include="$INCLUDE" "$SUITE" "$root" "$mirror" >&2
    sources | sort -u >"$root/etc/apt/sources.list"
    apt-config dump Acquire >"$root/etc/apt/apt.conf.d/90acquire"
    pip_configuration >"$root/etc/pip.conf"
    cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash vagrant
    printf 'vagrant ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/vagrant"
    chmod 440 "$root/etc/sudoers.d/vagrant"
    # The kernel is loaded from outside; making an initrd anew for it takes an emulated processor five minutes.
    printf 'update_initramfs=no\n' >"$root/etc/initramfs-tools/update-initramfs.conf"
    printf 'dmmlab\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost dmmlab\n' >"$root/etc/hosts"
    printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf" # QEMU's
    printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
    install -m 755 "$HERE/first.sh" "$root/usr/local/sbin/vm-first"
    cat >"$root/etc/systemd/system/vm-first.service" <<'UNIT'
[Unit]
Description=What the test has for this machine to do
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/vm-first
StandardOutput=journal
TimeoutStartSec=infinity
[Install]
WantedBy=graphical.target
UNIT
    mkdir -p "$root/etc/systemd/system/graphical.target.wants"
    ln -s ../vm-first.service "$root/etc/systemd/system/graphical.target.wants/"
}

# What results depend on here (machine/environment.py): with other versions another disk is made.
versions() {
    "$PYTHON" -m pip freeze --exclude-editable
    "$PYTHON" -c 'from dmmlab.machine.environment import describe
here = describe()
print(here["python"], here["packages"], here["programs"])'
}

# provision ROOT: in namespaces of its own, so that nothing stays mounted and no daemon runs on.
provision() {
    local root=$1 project=$1/vagrant
    mkdir -p "$project"
    cp -r "${RECIPE[@]}" "$PROJECT"/{README.md,LICENSE,machine,guest,topologies,controllers,nodes,experiments} "$project/"
    "$PYTHON" -m pip freeze --exclude-editable >"$project/requirements.lock"
    chown -R 1000:1000 "$project"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no daemon is to be started
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child sh -euc '
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        for file in resolv.conf hosts; do mount --bind "/etc/$file" "$1/etc/$file"; done
        chroot "$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive HOME=/root sh -euc "$2"
    ' sh "$root" '
        bash /vagrant/machine/provision.sh --skip-venv
        systemctl mask named unbound openvswitch-switch
        export HOME=/home/vagrant DMMLAB_VENV=/home/vagrant/.venvs/dmmlab
        as_user() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
        as_user bash /vagrant/machine/provision.sh --skip-apt --no-dev --locked
        as_user "$DMMLAB_VENV/bin/python" -c "import matplotlib.font_manager" # it looks for all fonts, once
    ' >&2
    rm -rf "$root/usr/sbin/policy-rc.d" "$project" "$root"/var/cache/apt/archives/*.deb
    assimilate "$root"
}

packages() { # of the root $1, and their versions
    dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${db:Status-Abbrev} ${binary:Package} ${Version}\n' |
        sed -n 's/^ii *//p' | LC_ALL=C sort
}

# The mirror has the newest version of a package, this machine may have an older one: its files then take the others' place.
assimilate() {
    local root=$1 others
    mapfile -t others < <(LC_ALL=C join <(packages '') <(packages "$root") | awk '$2 != $3 { print $1 }')
    [ "${#others[@]}" -gt 0 ] || return 0
    say "files of this machine for packages of which it has other versions: ${others[*]}"
    dpkg-query -L "${others[@]}" | sort -u | while read -r file; do
        if [ -f "$file" ] || [ -L "$file" ]; then printf '%s\0' "${file#/}"; fi
    done | tar -C / --null -T - -c | tar -C "$root" -x
    chroot "$root" ldconfig
    chroot "$root" python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.11 >&2 || true
}

mirror=$(sources | awk '$3 == "'$SUITE'" { print $2; exit }')
[ -n "$mirror" ] || { say "this machine's apt has no source of $SUITE main to make a disk from"; exit 2; }
kind=$SUITE
made_from=("${BASH_SOURCE[0]}" "$HERE/first.sh")
if [ "${1:-}" = --provisioned ]; then
    kind=$SUITE-provisioned
    made_from+=("${RECIPE[@]}" "$PROJECT/machine/provision.sh")
fi
key=$(cat "${made_from[@]}" <(sources) <(pip_configuration) <([ "$kind" = "$SUITE" ] || versions) | sha256sum | cut -c1-12)
folder=$CACHE/$kind-$key
mkdir -p "$CACHE"
exec 9>"$CACHE/.lock"
flock 9 # of two that want a disk at a time the second waits
find "$CACHE" -mindepth 2 -maxdepth 2 -name complete -mtime +14 -printf '%h\0' | xargs -0 -r rm -r # not used for two weeks
if ! [ -e "$folder/complete" ]; then
    for program in debootstrap mke2fs; do
        command -v "$program" >/dev/null || { say "$program is missing: apt-get install debootstrap e2fsprogs"; exit 2; }
    done
    [ "$(id -u)" = 0 ] || { say 'debootstrap needs root'; exit 2; }
    say "making a Debian $kind disk in $folder, once"
    began=$SECONDS
    rm -rf "$folder"
    mkdir -p "$folder"
    fill "$folder/root" "$mirror"
    [ "$kind" = "$SUITE" ] || provision "$folder/root"
    cp -L "$folder/root/vmlinuz" "$folder/root/initrd.img" "$folder/"
    truncate -s "${DISK_GB}G" "$folder/disk.raw"
    mke2fs -q -t ext4 -d "$folder/root" "$folder/disk.raw"
    rm -rf "$folder/root"
    say "made in $((SECONDS - began)) s"
fi
touch "$folder/complete"
printf '%s\n' "$folder"
