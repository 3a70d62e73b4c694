"""The best score, and no change for a gain of a per cent: round trips, with a bonus for a family (Tailscale)."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Parameter, Policy


def closed_form(offer: Offer) -> Choice:
    """Measured as `lowest-rtt` does; the address used before stays unless the best gains more than that share of it, to
    a nanosecond.

    A run has one family, so that its bonus is every address's and changes nothing.
    """
    share = 1 - offer.parameters["better_by"]
    return offer.kept_unless(lambda best_s, last_s: round(best_s - share * last_s, 9) < 0)


POLICY = Policy(
    name="scored",
    words="the lowest round trip less a bonus for IPv6, and no change for a gain of `better_by` or less of it",
    side="dmmlab.nodes.policies.scored:Scored",
    closed_form=closed_form,
    parameters={
        "better_by": Parameter("share", 0.01, "the share of the round trip that a change must gain"),
        "ipv6": Parameter("share", 0.10, "the share by which an IPv6 address counts as nearer"),
    },
    remembers=True,
)
