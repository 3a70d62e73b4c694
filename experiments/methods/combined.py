"""The draft's combined mode (4.2.3): the server asks the mobile node, and the user plane is direct."""

from __future__ import annotations

from dmmlab.experiments.methods import p2p
from dmmlab.experiments.methods.base import CN, MN, SERVER, Draft, Look, Lookup, Method, Opened, Signalling, World


def closed_form(world: World, session: Opened) -> Lookup | None:
    """The server asks the mobile node, which answers with the address that it has, and from it.

    Where the node updates its registration lazily, it is asked at the address that the server knows.
    """
    at_router, found = world.serving(session.mn, session.at_s), p2p.closed_form(world, session)
    if at_router is None or found is None:
        return None
    if found.anchor != at_router and not (world.lazy and world.newest(session.mn, session.at_s) == at_router):
        return None
    ways = [world.to_node_s(SERVER, session.mn, anchor, at_router) for anchor in (found.anchor, at_router)]
    asked_s = world.server_s + sum(way for way in ways if way is not None)  # it takes the answer as another message
    return None if None in ways else Lookup(found.lookup_s + asked_s, at_router)


METHOD = Method(
    name="combined",
    words="the server asks the mobile node, which answers (draft 4.2.3)",
    look=Look("#CC79A7", "v", (0, (5, 1, 1, 1)), "combined"),
    side="dmmlab.nodes.methods.registered:Registered",
    parameters={"mode": "COMBINED"},
    closed_form=closed_form,
    needs=(SERVER,),
    asks=((CN, SERVER), (SERVER, MN)),
    gives_all=True,
    signalling=Signalling(updates=("registration",), lookups="registration", messages=(4, 4)),
    draft=Draft("4.2.3", figure=5, registers=True),
)
