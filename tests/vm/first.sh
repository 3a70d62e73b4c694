#!/bin/sh
# First thing in the machine, as root: network, the project folder where Vagrant has it, then what the kernel's command line
# names (dmmlab=up: tests/vm/up.sh), as the user `vagrant`; log and status are left among the results, and it goes down.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

what=$(sed -n 's/.*dmmlab=\([a-z]*\).*/\1/p' /proc/cmdline)
out=/vagrant/results/vm
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
mkdir -p /vagrant
modprobe -a virtio_pci 9p 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose project /vagrant
su --login --command "bash /vagrant/tests/vm/$what.sh" vagrant </dev/null >"$out/$what.log" 2>&1
echo $? >"$out/$what.status"
journalctl --boot --no-pager >"$out/$what.journal"
umount /vagrant
sync
systemctl poweroff --force
