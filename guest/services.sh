# shellcheck shell=sh disable=SC2154 # dmmlab_job comes from init
# Sourced by a session that asked for services: Open vSwitch at the system's own paths, where ovs-vsctl and mn look.

services_failed() {
    echo "Open vSwitch did not start in the guest: $1" >"$dmmlab_job/failed"
    exit 1
}

start_services() {
    command -v ovs-vswitchd >/dev/null || services_failed "ovs-vswitchd is not installed (apt-get install openvswitch-switch)"
    mkdir -p /run/openvswitch /var/log/openvswitch
    database=/etc/openvswitch/conf.db
    ovsdb-tool create "$database" /usr/share/openvswitch/vswitch.ovsschema || services_failed "no database"
    ovsdb-server "$database" --remote=punix:/run/openvswitch/db.sock --no-chdir --pidfile --detach \
        --log-file=/var/log/openvswitch/ovsdb-server.log -vconsole:off || services_failed "ovsdb-server ended"
    ovs-vsctl --no-wait init || services_failed "no answer from ovsdb-server"
    ovs-vswitchd --no-chdir --pidfile --detach --log-file=/var/log/openvswitch/ovs-vswitchd.log -vconsole:off ||
        services_failed "ovs-vswitchd ended"
}

start_services </dev/null >/dev/console 2>&1
