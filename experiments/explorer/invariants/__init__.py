"""What must hold after any run, whatever broke: each a function of the run's records, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dmmlab.experiments.explorer.invariants.acknowledged import dns_updates, registrations
from dmmlab.experiments.explorer.invariants.delivery import delivered_to_holders
from dmmlab.experiments.explorer.invariants.exactness import closed_forms
from dmmlab.experiments.explorer.invariants.left_over import nobody_left, rules
from dmmlab.experiments.explorer.invariants.parties import sessions_asked_for
from dmmlab.experiments.explorer.invariants.recovery import set_up_again
from dmmlab.experiments.explorer.invariants.unasked import nothing_unregistered, one_binding_a_node
from dmmlab.experiments.records.recording import Recording

Invariant = Callable[[Recording], Iterator[str]]

INVARIANTS: dict[str, Invariant] = {
    "acknowledged registrations are kept": registrations,
    "acknowledged DNS updates are kept": dns_updates,
    "nothing is registered that nobody registered": nothing_unregistered,
    "one binding a node": one_binding_a_node,
    "no session between parties that did not ask": sessions_asked_for,
    "no packet at a node that does not hold its address": delivered_to_holders,
    "every method sets up again": set_up_again,
    "times that no fault touches are their closed forms": closed_forms,
    "no process or namespace is left": nobody_left,
    "switches hold the rules of where nodes are, and no others": rules,
}


def broken(recording: Recording) -> list[str]:
    """What does not hold, a sentence each, the invariant's name first."""
    return [f"{name}: {found}" for name, holds in INVARIANTS.items() for found in holds(recording)]
