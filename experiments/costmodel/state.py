"""What has to be kept for a mobile node: rules in switches, and what servers and caches hold."""

from __future__ import annotations

from typing import NamedTuple

from dmmlab.experiments.costmodel import staleness
from dmmlab.experiments.costmodel.setting import Setting

_OF_ROUTERS, _OWN, _OLD = 2, 2, 13  # rules: docs/redirect.md, and F12's exact form


class State(NamedTuple):
    """Rules in switches for a node; addresses in the registration server; records in the DNS; of these, how many the
    resolver holds in the mean; sessions that the server relays at a time.
    """

    rules: int
    bindings: int
    records: int
    cached_records: float
    relayed: float


def rules_of_network(routers: int) -> int:
    """Without any node, where each of ``routers`` is joined to each by a way: R switches of 2 (R + 2) rules."""
    return _OF_ROUTERS * routers * (routers + 2)


def of(setting: Setting, method: str, session_s: float = 0.0) -> State:
    """For one node, with sessions that last ``session_s`` in the mean (Little's law for those that are relayed)."""
    rules = _OWN + _OLD * setting.old_addresses * setting.redirect
    if method == "fixed":
        return State(rules, 0, 0, 0.0, 0.0)
    if method == "ddns":
        return State(rules, 0, 3, 2 * staleness.cached(setting), 0.0)  # an address, and a port for each transport
    relayed = setting.calls_per_s * session_s if method == "central" else 0.0
    return State(rules, 1 + setting.old_addresses, 0, 0.0, relayed)
