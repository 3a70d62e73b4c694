"""The address with the lowest round trip, measured before the session is opened."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Policy


def closed_form(offer: Offer) -> Choice:
    """All addresses are probed at once: the longest round trip is waited for, then the best is taken."""
    return Choice(offer.best(), measuring_s=offer.measuring_s())


POLICY = Policy(
    name="lowest-rtt",
    words="the address with the lowest round trip, measured first",
    side="dmmlab.nodes.policies.lowest_rtt:LowestRtt",
    closed_form=closed_form,
)
