"""No mechanism: the correspondent knows one address, whatever has become of it."""

from __future__ import annotations

from dmmlab.experiments.methods.base import Look, Lookup, Method, Opened, World


def closed_form(world: World, session: Opened) -> Lookup:
    """Nothing is asked."""
    return Lookup(0.0, session.anchor or world.first(session.mn))


METHOD = Method(
    name="fixed",
    words="no mechanism: it knows one address",
    look=Look("#000000", "o", "-", "fixed"),
    side="dmmlab.nodes.methods.fixed:Fixed",
    closed_form=closed_form,
)
