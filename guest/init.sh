#!/bin/sh
# First process of the guest: mounts, the session, its exit status, power off.
#
# The launcher (launch.py) leaves a job directory on the host and names it on the kernel command line. It holds
# settings.sh, fstab, session.sh (which ends in the command), stdin; what goes back is stdout, stderr, status, and
# failed if there is no status to give. Nothing here waits for the host, so that the same job takes the same virtual
# time on every machine. Few processes, too: starting one is what costs in the guest (5 ms).

# shellcheck disable=SC2154 # assigned by settings.sh and the kernel command line

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

power_off() {
    sync
    echo o >/proc/sysrq-trigger
    while :; do sleep 60; done
}

fail() {
    echo "$1" >"$dmmlab_job/failed"
    power_off
}

load_modules() { # only for a kernel that has them: Debian's stock one
    mkdir -p /run/dmmlab/lib
    ln -s "$modules" /run/dmmlab/lib/modules
    for module in unix af_packet overlay ipv6 dummy veth tun ifb bridge macvlan vxlan sch_netem sch_htb sch_hfsc sch_tbf \
        sch_prio sch_red sch_sfq sch_fq sch_fq_codel sch_ingress cls_basic cls_u32 cls_matchall cls_flower act_mirred \
        act_police act_gact nf_tables openvswitch; do
        modprobe -q -d /run/dmmlab "$module"
    done
}

cd -P "$dmmlab_job" || exit 1
dmmlab_job=$PWD # /proc will be the guest's own
cd /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
# shellcheck source=/dev/null
. "$dmmlab_job/settings.sh" # clock, uptime_s, least_uptime_s, modules, terminal, rows, columns
[ -z "$modules" ] || load_modules
# Writable layers over the host's /tmp and /var/tmp.
mkdir -p /run/dmmlab/upper/tmp /run/dmmlab/upper/var/tmp /run/dmmlab/work/tmp /run/dmmlab/work/var/tmp
chmod 1777 /run/dmmlab/upper/tmp /run/dmmlab/upper/var/tmp
mount -n -c -a -T "$dmmlab_job/fstab" || fail "the guest cannot mount what the command needs"
umount -l /run/dmmlab/files /run/dmmlab/streams /run/dmmlab/lower

echo dmmlab >/proc/sys/kernel/hostname
echo 0 >/proc/sys/kernel/ctrl-alt-del # the launcher's Ctrl-C comes in as SIGINT, not as a reboot
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
# Mininet asks for 16384 open files and mnexec then closes every one of them for every host (0.9 s each here). Refused,
# it warns and keeps the 1024 it has.
echo 4096 >/proc/sys/fs/nr_open
# A network namespace begins with lo, and without a fallback device for each kind of tunnel.
echo 2 >/proc/sys/net/core/fb_tunnels_only_for_init_net
# All namespaces share one limit of neighbours, 1024: some tens of mobile nodes at as many routers know more.
for family in ipv4 ipv6; do
    for limit in 3 2 1; do
        [ ! -d /proc/sys/net/$family/neigh ] || echo 1048576 >/proc/sys/net/$family/neigh/default/gc_thresh$limit
    done
done
ip link set lo up

# Open vSwitch believes in 0 cores during the first 10 s of the monotonic clock, and ping cannot tell a stamp from
# its first second from "never". Waiting is free in virtual time; in real time a time namespace begins later instead,
# and a kernel without those waits no longer than it must.
set -- setsid
if [ "$clock" = virtual ]; then
    sleep "$uptime_s"
elif [ -e /proc/self/ns/time ]; then
    set -- setsid unshare --time --monotonic "$uptime_s" --boottime "$uptime_s" --fork --
else
    while read -r up _ </proc/uptime && [ "${up%.*}" -lt "$least_uptime_s" ]; do sleep 0.2; done
fi
# A background job of a shell without job control ignores SIGINT; its program must not inherit that.
set -- "$@" env --default-signal=INT,QUIT sh "$dmmlab_job/session.sh"

if [ "$terminal" = yes ]; then
    shift
    {
        stty sane rows "$rows" columns "$columns"
        exec setsid --ctty "$@"
    } </dev/tty1 >/dev/tty1 2>&1 &
else
    "$@" <"$dmmlab_job/stdin" >>"$dmmlab_job/stdout" 2>>"$dmmlab_job/stderr" &
fi
session=$!
trap 'interrupted=yes; kill -INT -"$session"' INT
status=
while :; do # wait returns early when the trap has run, and 127 if the wait before had the status already
    interrupted=no
    wait "$session"
    code=$?
    if [ "$code" = 127 ] && [ -n "$status" ]; then break; fi
    status=$code
    [ "$interrupted" = yes ] || break
done
[ -e "$dmmlab_job/failed" ] || echo "$status" >"$dmmlab_job/status"
power_off
