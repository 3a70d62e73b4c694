"""The draft's peer-to-peer mode (4.2.1): the registration server answers, and is out of the way from then on."""

from __future__ import annotations

from dmmlab.experiments.methods.base import CN, SERVER, Draft, Look, Lookup, Method, Opened, Signalling, World


def closed_form(world: World, session: Opened) -> Lookup | None:
    """One round trip to the server, which knows what has reached it by then."""
    way_s = world.way_s(session.cn, SERVER, session.at_s)
    if way_s is None:
        return None
    newest = world.known(session.mn, SERVER, session.at_s + way_s + world.server_s)
    return None if newest is None else Lookup(2 * way_s + world.server_s, newest)


METHOD = Method(
    name="p2p",
    words="asks the registration server, which answers (draft 4.2.1)",
    look=Look("#009E73", "^", "-.", "P2P"),
    side="dmmlab.nodes.methods.registered:Registered",
    parameters={"mode": "P2P"},
    closed_form=closed_form,
    needs=(SERVER,),
    asks=((CN, SERVER),),
    gives_all=True,
    signalling=Signalling(updates=("registration",), lookups="registration", messages=(2, 2)),
    draft=Draft("4.2.1", figure=3, registers=True),
)
