"""The daemons and agents of emulated hosts: one protocol, an object each."""
