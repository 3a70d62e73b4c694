"""How long a user on an older address hears nothing when the node moves: a stream without gaps, break before make."""

from __future__ import annotations

from math import inf

from dmmlab.experiments.costmodel.setting import Setting


def silence_s(setting: Setting, method: str) -> float:
    """Between the last answer by the old link and the first by the new one; infinite where the session is lost.

    With the redirect: the gap, the first frame and two control crossings until it is in force, and what the last
    answer and the first differ by in radio hops and inter-MR ways (docs/handovers.md). Without it only a relayed
    session goes on, once the node has an address, knows its router, and has told the server (draft 4.2.2).
    """
    ways = setting.ways
    redirected_s = setting.gap_s + 3 * ways.radio_s + 2 * ways.control_s + 2 * ways.across_s
    told_s = setting.gap_s + ways.settling_s + 3 * ways.radio_s + 2 * (ways.router_s + ways.server_s)
    if method == "central":
        return min(redirected_s, told_s) if setting.redirect else told_s
    return redirected_s if setting.redirect else inf
