"""The newest address, as the draft has it."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Policy


def closed_form(offer: Offer) -> Choice:
    """Nothing is added: the first address of an answer is the newest."""
    return Choice(next(iter(offer.ways_s)))


POLICY = Policy(
    name="latest",
    words="the newest address",
    side="dmmlab.nodes.policies.latest:Latest",
    closed_form=closed_form,
    compares=False,
)
