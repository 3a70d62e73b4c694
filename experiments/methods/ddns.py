"""The draft's solution 1 (4.1): the mobile node's name in the DNS, which it changes by itself (RFC 2136)."""

from __future__ import annotations

from math import floor

from dmmlab.experiments.methods.base import (
    CN,
    DDNS,
    RESOLVER,
    Draft,
    Look,
    Lookup,
    Method,
    Opened,
    Signalling,
    World,
)


def closed_form(world: World, session: Opened) -> Lookup | None:
    """Address and port are asked for in parallel: the later answer ends the lookup.

    What the correspondent has asked for itself, it remembers when it has been answered, and not before.
    """
    key = ("ddns", session.cn, session.mn, session.service, session.transport)
    until_s, kept = world.remembered.get(key, (float("-inf"), ""))
    since_s, _ = world.remembered.get((*key, "since"), (float("inf"), ""))
    if world.cn_cache != "off" and since_s <= session.at_s < until_s:
        return Lookup(0.0, kept)
    way_s = world.way_s(session.cn, RESOLVER, session.at_s)
    if way_s is None:
        return None
    arrives_s = session.at_s + way_s
    address = world.resolver.answer_s(session.mn, "A", arrives_s)
    port = world.resolver.answer_s(session.mn, f"{session.service}/{session.transport}", arrives_s)
    if address is None or port is None:
        return None
    answered_s = max(max(address.came_s, port.came_s) + way_s, session.at_s + 2 * way_s)
    left_s = floor(address.until_s) - floor(max(arrives_s, address.came_s))
    if world.cn_cache != "off":
        forever = world.cn_cache == "forever"
        world.remembered[key] = (float("inf") if forever else answered_s + left_s, address.anchor)
        since_s = min(since_s, answered_s) if session.at_s < until_s else answered_s
        world.remembered[*key, "since"] = (since_s, address.anchor)
    return Lookup(answered_s - session.at_s, address.anchor)


METHOD = Method(
    name="ddns",
    words="asks the DNS, which the mobile node updates (draft 4.1, RFC 2136)",
    look=Look("#0072B2", "s", "--", "DDNS"),
    side="dmmlab.nodes.methods.ddns:Ddns",
    closed_form=closed_form,
    needs=(RESOLVER, DDNS),
    asks=((CN, RESOLVER), (RESOLVER, DDNS)),
    cached=True,
    signalling=Signalling(updates=("dns-update",), lookups="dns", messages=(4, 8)),
    draft=Draft("4.1", figure=2, opened_before=True),
)
