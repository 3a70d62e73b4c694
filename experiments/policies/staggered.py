"""A race with head starts: the newest address first, each further one a moment later (RFC 8305 section 5)."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Parameter, Policy


def closed_form(offer: Offer) -> Choice:
    """Each address answers a round trip after its turn; the first to answer has it, and of equal ones the newer."""
    step_s = offer.parameters["delay"]
    turns_s = {router: turn * step_s for turn, router in enumerate(offer.ways_s)}
    first = min(turns_s, key=lambda router: turns_s[router] + offer.round_trip_s(router))
    return Choice(first, turn_s=turns_s[first])


POLICY = Policy(
    name="staggered",
    words="whichever answers first, each a moment later than the one before (RFC 8305)",
    side="dmmlab.nodes.policies.staggered:Staggered",
    closed_form=closed_form,
    parameters={"delay": Parameter("duration", 0.25, "the head start of each address before the next")},
)
