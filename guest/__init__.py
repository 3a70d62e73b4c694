"""The virtual-time guest: kernel, init, launcher; and the set-up of a machine."""
