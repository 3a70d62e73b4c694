"""``addresses`` and ``identities``: what a node does with the addresses that it was given, and what it is called."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration

Lifetime = Literal["fixed", "session-lasting", "non-persistent"]
Dad = Literal["off", "on", "optimistic"]


def _as_switch(value: object) -> object:
    """YAML reads ``on`` and ``off`` as truth values."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class Addresses(Section):
    """What an MN does with an old address: it is released ``keep`` after it was deprecated (never, if not given).

    ``lifetime`` is the kind of address (RFC 8653 section 3.1): a ``fixed`` one is kept, with its redirect; a
    ``session-lasting`` one is given back, and its redirect goes, when its last session has ended; a ``non-persistent``
    one goes with the link, and has no redirect. A session over UDP that somebody else opened has ended when nothing
    has come for ``idle``.

    ``dad`` is duplicate address detection, IPv6's (RFC 4862 section 5.4): without it an address is the MN's at once,
    as with ``optimistic`` (RFC 4429), which looks for a duplicate meanwhile.

    With ``guard`` the access switches take from a node what comes from its own addresses, and nothing else
    (`dmmlab.controllers.guard`).
    """

    keep: Duration | None = None
    lease: Duration = 3600.0
    dad: Annotated[Dad, BeforeValidator(_as_switch)] = "off"
    lifetime: Lifetime = "fixed"
    idle: Duration = 1.0
    guard: bool = False


class Identity(Section):
    """The DNS label of a node's permanent ID, where that is not its name: what a ledger of GUIDs has (`identities`)."""

    node: str
    label: str
