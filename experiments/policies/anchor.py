"""The oldest address that the node still has: the anchor of Mobile IP's kind, which never changes under a session."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Policy


def closed_form(offer: Offer) -> Choice:
    """Nothing is added: an answer names the newest first, and this one last."""
    return Choice(list(offer.ways_s)[-1])


POLICY = Policy(
    name="anchor",
    words="the oldest address that the node still has",
    side="dmmlab.nodes.policies.anchor:Anchor",
    closed_form=closed_form,
)
