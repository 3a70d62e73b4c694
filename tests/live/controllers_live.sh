# Three mobile routers in a chain, an MN that moves along it, a real controller ($2 = ryu | os_ken); prints facts.
# $1 python, $2 framework, $3 plan, $4 folder for results. One-way delays: MR-core 5 ms, core-CN 10, inter-MR 4, radio 2.
python=$1 framework=$2 plan=$3 out=$4
set -eu
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.disable_ipv6=1
for n in r1 r2 r3 core cn mn ctl; do ip netns add $n; ip -n $n link set lo up; done
for n in r1 r2 r3 core; do ip netns exec $n sysctl -qw net.ipv4.ip_forward=1; done
ip netns exec mn sysctl -qw net.ipv4.conf.default.arp_announce=2 net.ipv4.conf.default.arp_evict_nocarrier=0
at() { ns=$1; shift; if [ $ns = - ]; then "$@"; else ip netns exec $ns "$@"; fi; }
put() { if [ $2 != - ]; then ip link set $1 netns $2; fi; at $2 ip link set $1 up; }
wire() { # name, namespace, name, namespace, delay
    ip link add $1 type veth peer name $3; put $1 $2; put $3 $4; delay $1 $2 $5; delay $3 $4 $5; }
delay() { if [ $3 != 0 ]; then at $2 tc qdisc replace dev $1 root netem delay $3 limit 10000; fi; }
wire cn0 cn corec core 10ms
ip -n cn addr add 10.9.0.2/24 dev cn0; ip -n core addr add 10.9.0.1/24 dev corec; ip -n cn route add default via 10.9.0.1
wire ctl0 - ctl1 ctl 1ms
ip addr add 10.99.0.1/24 dev ctl0; ip -n ctl addr add 10.99.0.2/24 dev ctl1
for i in 1 2 3; do
    wire s$i-eth1 - r$i-eth0 r$i 0; wire r$i-eth1 r$i core$i core 5ms
    ip -n r$i link set r$i-eth0 address 02:00:00:00:0$i:01; ip -n r$i addr add 10.$i.0.1/24 dev r$i-eth0
    ip -n r$i addr add 10.10$i.0.2/24 dev r$i-eth1; ip -n core addr add 10.10$i.0.1/24 dev core$i
    ip -n r$i route add default via 10.10$i.0.1; ip -n core route add 10.$i.0.0/24 via 10.10$i.0.2
    ovs-vsctl add-br s$i -- set bridge s$i protocols=OpenFlow13 fail-mode=secure \
        other-config:datapath-id=000000000000000$i -- add-port s$i s$i-eth1
    ip netns exec r$i dnsmasq --no-ping --dhcp-authoritative --port=0 --interface=r$i-eth0 --pid-file=/run/dnsmasq$i \
        --dhcp-range=10.$i.0.10,10.$i.0.99,120 --dhcp-leasefile=/run/leases$i --conf-file=/dev/null --user=root
done
for pair in "s1-to2 s2-to1" "s2-to3 s3-to2"; do
    set -- $pair; ip link add $1 type veth peer name $2
    for port; do # Open vSwitch takes the queueing discipline off a port that joins, so it comes after
        ovs-vsctl add-port ${port%-*} $port tag=4094; put $port -; delay $port - 4ms; done
done
wire radio - mn0 mn 0
ip link set radio down; ip -n mn link set mn0 address 02:aa:00:00:00:01
cat >/run/lease.sh <<'S'
case $1 in bound | renew)
    for a in $(ip -4 -o addr show dev $interface | awk '{print $4}'); do
        ip addr del $a dev $interface; ip addr add ${a%/*}/32 dev $interface preferred_lft 0; done
    ip addr del $ip/32 dev $interface 2>/dev/null; ip addr add $ip/24 dev $interface
    ip route replace default via $router dev $interface ;;
esac
S
chmod +x /run/lease.sh
controller() { ip netns exec ctl $python -m dmmlab.controllers --plan $plan --events $out/events --framework $framework \
    --listen 10.99.0.2:6653 & controller=$!; }
attach() { ovs-vsctl add-port s$1 radio; ip link set radio up; delay radio - 2ms; delay mn0 mn 2ms
    ip netns exec mn udhcpc -f -n -q -i mn0 -s /run/lease.sh -t 5 -T 1 2>/dev/null; }
detach() { ovs-vsctl del-port s$1 radio; ip link set radio down; sleep 0.05; }
controller
for i in 1 2 3; do ovs-vsctl set-controller s$i tcp:10.99.0.2:6653 -- set controller s$i inactivity_probe=0 max_backoff=1000; done
until grep -q '"ready"' $out/events; do sleep 0.1; done
attach 1
address=$(ip -n mn -4 -o addr show dev mn0 | sed 's/.*inet \([0-9.]*\).*/\1/')
ip netns exec cn ping -c 1 $address >/dev/null # ARP
ip netns exec mn $python -c '
import socket, sys
server = socket.create_server((sys.argv[1], 7))
peer, _ = server.accept()
while data := peer.recv(65536): peer.sendall(data)' $address &
sleep 0.5
ip netns exec cn $python -c '
import json, socket, sys, time
peer = socket.create_connection((sys.argv[1], 7)); peer.setsockopt(6, 1, 1); gaps = []
for i in range(150):
    start = time.monotonic(); peer.sendall(b"%08d" % i); assert peer.recv(8, socket.MSG_WAITALL) == b"%08d" % i
    gaps.append(time.monotonic() - start); time.sleep(0.02)
print(json.dumps({"echoes": len(gaps), "longest_s": max(gaps)}), file=open(sys.argv[2], "w"))' $address $out/tcp.json &
tcp=$!
ip netns exec cn ping -i 0.02 -c 350 $address >$out/ping &
ping=$!
sleep 1; detach 1; attach 3
sleep 2; kill -9 $controller; sleep 0.2; controller
sleep 2; detach 3; attach 1
wait $ping || true
wait $tcp
detach 1; attach 2
sleep 130 # the lease of the first address is over; each MR's switch timed it
for i in 1 2 3; do ovs-ofctl -O OpenFlow13 dump-flows s$i --no-stats >$out/flows$i; done
kill $controller; wait $controller
