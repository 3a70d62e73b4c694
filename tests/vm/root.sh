#!/usr/bin/env bash
# Makes the disk of a bare Debian 12 machine such as Vagrant's box is: Debian's own kernel, systemd, AppArmor, and a user
# `vagrant` who has sudo. Kept in the cache, and made again when this file or the mirror changes. Prints its folder.
#
#   tests/vm/root.sh            needs root, debootstrap, mke2fs
#
# Where Debian comes from, certificates and pip's index are read from this machine's own configuration.
set -euo pipefail

SUITE=bookworm
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
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

mirror=$(sources | awk '$3 == "'$SUITE'" { print $2; exit }')
[ -n "$mirror" ] || { say "this machine's apt has no source of $SUITE main to make a disk from"; exit 2; }
key=$(cat "${BASH_SOURCE[0]}" "$HERE/first.sh" <(sources) <(pip_configuration) | sha256sum | cut -c1-12)
folder=$CACHE/$SUITE-$key
if ! [ -e "$folder/complete" ]; then
    for program in debootstrap mke2fs; do
        command -v "$program" >/dev/null || { say "$program is missing: apt-get install debootstrap e2fsprogs"; exit 2; }
    done
    [ "$(id -u)" = 0 ] || { say 'debootstrap needs root'; exit 2; }
    say "making a Debian $SUITE disk in $folder, once"
    began=$SECONDS
    rm -rf "$folder"
    mkdir -p "$folder"
    fill "$folder/root" "$mirror"
    cp -L "$folder/root/vmlinuz" "$folder/root/initrd.img" "$folder/"
    truncate -s "${DISK_GB}G" "$folder/disk.raw"
    mke2fs -q -t ext4 -d "$folder/root" "$folder/disk.raw"
    rm -rf "$folder/root"
    touch "$folder/complete"
    say "made in $((SECONDS - began)) s"
fi
printf '%s\n' "$folder"
