"""Mean delay: of a session's set-up over UDP, of its round trips from then on, and until its last answer."""

from __future__ import annotations

from dmmlab.experiments.costmodel import repetition, staleness
from dmmlab.experiments.costmodel.setting import Setting

_RETRY_S = 1.0  # of a session that nobody answers (`retry` in a scenario)


def lookup_s(setting: Setting, method: str) -> float:
    """Until the correspondent holds an address, in the mean; what loss adds included."""
    ways, arrives = setting.ways, 1 - setting.loss
    to_server_s, to_node_s = 2 * (ways.cn_s + ways.server_s), 2 * (ways.server_s + ways.mn_s)
    if method == "fixed":
        return 0.0
    if method == "p2p":
        return to_server_s + repetition.mean_s(repetition.exchange(arrives**2))
    if method == "ddns":
        return _ddns_s(setting)
    asked = repetition.passed_on(arrives, arrives, repetition.exchange(arrives**2), to_node_s)
    return to_server_s + to_node_s + repetition.mean_s(asked)


def _ddns_s(setting: Setting) -> float:
    """Address and port are asked for beside each other; a question that the cache answers ends at the resolver."""
    ways, arrives, hit = setting.ways, 1 - setting.loss, staleness.cached(setting)
    to_resolver_s, on_s = 2 * (ways.cn_s + ways.resolver_s), 2 * (ways.resolver_s + ways.ddns_s)
    near = repetition.exchange(arrives**2)
    upstream = repetition.exchange(arrives**4, repetition.resolver_tries_s(on_s))  # two lossy links, there and back
    far = repetition.passed_on(arrives, arrives, upstream, on_s)
    cached_s, cold_s = repetition.mean_s(repetition.both(near)), on_s + repetition.mean_s(repetition.both(far))
    return to_resolver_s + hit * cached_s + (1 - hit) * cold_s


def path_s(setting: Setting, method: str) -> float:
    """The mean round trip of a session's packets: by the server, or straight, by the redirect if the address is old."""
    ways = setting.ways
    if method == "central":
        return 2 * (ways.cn_s + ways.server_s) + 2 * (ways.server_s + ways.mn_s)
    return ways.direct_s + staleness.share(setting, method) * ways.detour_s


def setup_s(setting: Setting, method: str) -> float:
    """Lookup and first round trip in the mean, with the redirect.

    Server central's first packets go by the lossy link four times; what is not answered is looked up again.
    """
    found_s, trip_s = lookup_s(setting, method), path_s(setting, method)
    if method != "central" or not setting.loss:
        return found_s + trip_s
    return found_s + trip_s + (repetition.relayed_attempts(setting.loss) - 1) * (_RETRY_S + found_s)


def completed_s(setting: Setting, method: str) -> float:
    """Until the last of a session's requests is answered: a stale address costs the detour with each of them."""
    return setup_s(setting, method) + (setting.exchanges - 1) * path_s(setting, method)
