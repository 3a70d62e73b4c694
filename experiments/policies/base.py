"""What a selection policy is: which of the addresses that a lookup gave a session is opened on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dmmlab.experiments.methods.base import Lookup

ClosedForm = Callable[[Lookup, Mapping[str, float]], Lookup]


@dataclass(frozen=True)
class Policy:
    """A way to choose an address.

    ``name`` is its key in scenarios (``select``), ``words`` what is said of it. ``side`` is its class on the node
    (``module:Class``, a `dmmlab.nodes.policies.base.Policy`). ``closed_form`` takes what the lookup gave and the
    one-way delay (s) by the address of each router that the node was at, and gives the lookup with the choice made.
    """

    name: str
    words: str
    side: str
    closed_form: ClosedForm
    compares: bool = True  # several addresses, and so needs a lookup that gives all
