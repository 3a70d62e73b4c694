"""The lowest round trip, but no change for a small gain: what peer-to-peer overlays do against flapping (iroh)."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Parameter, Policy


def closed_form(offer: Offer) -> Choice:
    """Measured as `lowest-rtt` does; the address used before stays unless the best is better by more than so much, to a
    nanosecond.
    """
    return offer.kept_unless(lambda best_s, last_s: round(last_s - best_s, 9) > offer.parameters["better_by"])


POLICY = Policy(
    name="hysteresis",
    words="the lowest round trip, and no change for a gain of `better_by` or less",
    side="dmmlab.nodes.policies.hysteresis:Hysteresis",
    closed_form=closed_form,
    parameters={"better_by": Parameter("duration", 0.005, "the round trip that a change must gain")},
    remembers=True,
)
