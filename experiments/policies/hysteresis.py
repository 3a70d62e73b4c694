"""The lowest round trip, but no change for a small gain: what peer-to-peer overlays do against flapping (iroh)."""

from __future__ import annotations

from dmmlab.experiments.policies.base import Choice, Offer, Parameter, Policy


def closed_form(offer: Offer) -> Choice:
    """Measured as `lowest-rtt` does; the address used before stays unless the best is better by more than so much."""
    best, last = offer.best(), offer.last
    gain_s = 0.0 if last is None else offer.round_trip_s(last) - offer.round_trip_s(best)
    stays = last is not None and not gain_s > offer.parameters["better_by"]
    return Choice(last if stays and last is not None else best, measuring_s=offer.measuring_s())


POLICY = Policy(
    name="hysteresis",
    words="the lowest round trip, and no change for a gain of `better_by` or less",
    side="dmmlab.nodes.policies.hysteresis:Hysteresis",
    closed_form=closed_form,
    parameters={"better_by": Parameter("duration", 0.005, "the round trip that a change must gain")},
    remembers=True,
)
