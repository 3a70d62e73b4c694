"""What goes wrong with the guest, as one sentence for the user each."""

from dmmlab.machine.errors import Refusal


class GuestError(Refusal):
    """The guest cannot be built or booted, or died before its command did; the message says why and what mends it."""


class NoKernelError(GuestError):
    """No kernel that can run the asked-for clock is cached or installed."""


class KernelRejectedError(GuestError):
    """A kernel was built and booted but did not pass the self-test."""
