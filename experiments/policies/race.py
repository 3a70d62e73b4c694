"""Whichever address answers first: the session is opened on all of them."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Policy


def closed_form(offer: Offer) -> Choice:
    """Nothing is added: the best of all addresses answers first."""
    return Choice(offer.best())


POLICY = Policy(
    name="race",
    words="whichever address answers first",
    side="dmmlab.nodes.policies.race:Race",
    closed_form=closed_form,
)
