#!/bin/sh
# First thing in the machine, as root: network, the project folder where Vagrant has it, then the session as the user
# `vagrant` has one; its status is left among the results, and the machine goes down.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
mkdir -p /vagrant
modprobe -a virtio_pci 9p 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose project /vagrant
su --login --command 'bash /vagrant/tests/vm/session.sh' vagrant </dev/null >/vagrant/results/vm/session.log 2>&1
echo $? >/vagrant/results/vm/status
journalctl --boot --no-pager >/vagrant/results/vm/journal.log
umount /vagrant
systemctl poweroff --force
