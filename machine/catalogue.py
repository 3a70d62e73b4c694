"""Every event that a run can log: who logs it, with which fields, and what it means.

docs/events.md is made from this (``python -m dmmlab.machine.catalogue``). A log that is asked to check what it writes
(`dmmlab.machine.events`) raises CatalogueError for what is not here; tests ask.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


class CatalogueError(Exception):
    """An event that the catalogue does not have, or not with these fields."""


@dataclass(frozen=True)
class Kind:
    """A kind of event: its name, what it means, the fields that it always has, and those that it may have."""

    name: str
    meaning: str
    fields: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


def _kind(name: str, fields: str, meaning: str, sometimes: str = "") -> Kind:
    return Kind(name, meaning, tuple(fields.split()), tuple(sometimes.split()))


_BINDING = "mn address anchor lease_s"
_CHANGE = "mn address anchor serving path cause"
_DISCOVERED = _kind("server_discovered", "status address port", "its registration server was looked up in the DNS")

_PROGRAMS = (
    _kind("program_started", "session role command", "a program of a session was started, as this command"),
    _kind(
        "program_ended",
        "session role status stopped",
        "it ended with this exit status (minus a signal's number); `stopped`: its time was over, and it was told to",
    ),
    _kind(
        "program_unsupported",
        "session role reason",
        "it was not started, or ended, for want of a program or of an address family",
    ),
)

_SERVES = _kind("service_ready", "udp tcp", "its services listen, on these ports", sometimes="more")

CATALOGUE: dict[str, tuple[Kind, ...]] = {
    "runner": (
        _kind("scenario_started", "", "time 0 of the scenario"),
        _kind("detached", "mn to", "a mobile node's radio link is gone; the next one will be to mobile router `to`"),
        _kind("attached", "mn to", "a mobile node has a radio link to `to`"),
        _kind("left", "mn router", "make-before-break: a mobile node's radio link to `router`, its old one, is gone"),
        _kind("fault_began", "fault kind on", "fault number `fault` of the scenario (from 1) breaks the parties `on`"),
        _kind("fault_ended", "fault kind on", "it is over: what was killed is started again, what was cut is whole"),
        _kind(
            "clock_stepped",
            "by_s frames",
            "all hosts' clock was put so far forward (less than 0: back), when so many frames had passed each capture",
        ),
        _kind("scenario_ended", "", "the scenario's duration is over"),
    ),
    "mobile node": (
        _kind("ready", "interface", "its agent follows the carrier of the interface, or of both"),
        _SERVES,
        _kind("resumed", "addresses", "it goes on with the addresses of an agent that was here before, oldest first"),
        _kind("carrier_up", "", "the interface has a carrier", sometimes="interface"),
        _kind("carrier_down", "", "the interface has lost its carrier", sometimes="interface"),
        _kind(
            "handover_announced", "to lead_s", "it has told the network that it leaves for access switch `to` so soon"
        ),
        _kind("address_configured", "address router lease_s", "a new address is the one for new sessions"),
        _kind(
            "address_renewed",
            "address router lease_s",
            "the lease of an address, in use or deprecated, was renewed, or its prefix advertised",
        ),
        _kind("address_deprecated", "address", "an old address is kept for the sessions that use it"),
        _kind("address_released", "address", "an old address was given back to the router that it is from"),
        _kind("address_dropped", "address", "a non-persistent address went with its link"),
        _kind("address_duplicate", "address", "somebody else has the address that it formed (IPv6)"),
        _kind("dhcp_failed", "", "no DHCP server answered; it asks again"),
        _kind("zone_updated", "address outcome reason attempts", "the DDNS server has answered its update, or has not"),
        _kind("registered", "address outcome reason attempts", "the registration server has answered it, or has not"),
        _kind(
            "leg_opened",
            "session_number address transport",
            "a relayed session has a user plane to its new address; over TCP `ok` says whether the stream went on",
            sometimes="ok",
        ),
        _DISCOVERED,
        _kind("ddns_discovered", "status address port", "its DDNS server was looked up in the DNS"),
        _kind("announcement_failed", "reason", "what should have told a server of an address broke"),
    ),
    "correspondent": (
        _SERVES,
        _DISCOVERED,
        _kind("registered", "outcome attempts", "the registration server has answered it, or has not"),
        _kind(
            "ready",
            "sessions",
            "it waits for the times of so many sessions; on a mobile node, beside the node's own agent",
        ),
        _kind("node_discovered", "status node id", "a node's ID was found by what it is called (DNS-SD)"),
        _kind("session_started", "session method transport", "the time of a session has come"),
        _kind("lookup_started", "session attempt", "it looks the mobile node up, for the n-th time (from 0)"),
        _kind(
            "lookup_ended",
            "session attempt outcome addresses port reason cached",
            "the lookup is over: `ok`, `timeout` or `refused`; addresses in the order in which they are tried",
        ),
        _kind("address_chosen", "session address", "the session goes on with this address (UDP)"),
        _kind("attempt_failed", "session attempt reason", "an attempt to open the session ended with an error"),
        _kind("bulk_checked", "session size intact", "a bulk transfer is over; `intact`: the digests are the same"),
        _kind("session_ended", "session", "the session was carried to its end"),
        _kind("session_failed", "session", "nobody answered at any attempt"),
        *_PROGRAMS,
    ),
    "programs": (
        _kind("programs_ready", "programs", "so many programs wait for the times of their sessions"),
        *_PROGRAMS,
    ),
    "controller": (
        _kind("started", "framework redirect switches", "the process has read its plan"),
        _kind("switch_connected", "switch ports", "a switch has connected"),
        _kind("switch_unknown", "dpid", "a switch that the plan does not have has connected; it is left alone"),
        _kind("switch_lost", "switch", "the connection of a switch is gone; its rules stay"),
        _kind("ready", "switches", "every switch has its first rules"),
        _kind("port_added", "switch port role", "a port has joined a switch"),
        _kind("port_removed", "switch port role", "a port has left a switch"),
        _kind("mn_attached", "mn switch port serving", "a first frame has shown where a mobile node is"),
        _kind("mn_relearned", "mn switch port serving", "the same, from a rule that a switch held"),
        _kind("mn_identified", "mn radio", "a MAC address is a second radio of a known mobile node"),
        _kind("port_flooded", "switch port", "more MACs than one port may have: those that come now are not heard of"),
        _kind("claim_refused", "mn address held", "a mobile node gets no address that another holds, or by its name"),
        _kind("mn_detached", "mn switch port", "a mobile node is nowhere"),
        _kind("handover_expected", "mn serving to lead_s", "a mobile node has announced that it leaves, and where to"),
        _kind("mn_expected", "mn switch port serving", "a port is there that a mobile node has announced"),
        _kind("hold_ordered", "mn address anchor", "the anchor's router is to keep what comes for the address"),
        _kind("release_ordered", "mn address anchor", "the anchor's router is to deliver what it has kept"),
        _kind("binding_learned", _BINDING, "DHCP overheard: the address is the mobile node's, and whose anchor it has"),
        _kind("binding_relearned", _BINDING, "the same, from a rule that a switch held"),
        _kind("binding_renewed", _BINDING, "DHCP overheard: the lease was renewed"),
        _kind("binding_released", _BINDING, "DHCP overheard: the address was given back, or has another owner"),
        _kind("binding_expired", _BINDING, "the lease ran out"),
        _kind(
            "neighbour_answered", "mn address anchor", "asked for an address of a node that is away, it told its MAC"
        ),
        _kind("redirect_decided", _CHANGE, "packets to the address shall take this path (empty: none)"),
        _kind("redirect_impossible", "mn address anchor serving", "no inter-MR path leads to where the node is"),
        _kind("redirect_superseded", f"{_CHANGE} elapsed_s", "a newer decision came before this one was confirmed"),
        _kind(
            "redirect_confirmed", f"{_CHANGE} rules elapsed_s", "every switch has confirmed the redirect's last rule"
        ),
        _kind("redirect_removed", f"{_CHANGE} rules elapsed_s", "every switch has confirmed that it is gone"),
        _kind("flow_mod_sent", "switch installed removed cause token", "rules went to a switch, a barrier after them"),
        _kind("barrier_replied", "switch token elapsed_s", "everything up to that barrier is in force"),
        _kind("stopped", "signal counters", "the process ends; messages by switch"),
        _kind("error", "message details", "something broke, and the process ends"),
    ),
    "server": (
        _kind("ready", "host port", "it listens"),
        _kind(
            "resumed",
            "bindings",
            "it goes on with the bindings of a server that was here before: by node, its addresses, the newest first",
        ),
        _kind("registered", "node addresses port service lifetime_s refresh", "a node's addresses are registered"),
        _kind("deregistered", "node", "a node has withdrawn its registration"),
        _kind("expired", "node addresses", "a registration was not refreshed in time"),
        _kind("repeated", "node message sequence", "a request that was answered came again, and is answered again"),
        _kind(
            "refused",
            "reason peer",
            "a message was refused",
            sometimes="node message sequence target mode session detail",
        ),
        _kind("flooded", "refusals", "so many more refusals of the second before, which have no line of their own"),
        _kind("service_requested", "node transport target mode", "a correspondent asks for a mobile node"),
        _kind("request_forwarded", "node requester to attempt", "the mobile node is asked"),
        _kind("service_answered", "node addresses port", "the correspondent is answered"),
        _kind("relay_opened", "session transport port leg_port", "the relay of a session (mode central) has its ports"),
        _kind("leg_opened", "session node address legs", "a relayed session has a user plane towards the mobile node"),
        _kind("leg_retired", "session address reason", "one of them is used no more"),
        _kind("leg_failed", "session detail", "a user plane towards the mobile node broke"),
        _kind("relay_closed", "session reason", "a relayed session is over"),
        _kind(
            "relay_carried",
            "session down up dropped",
            "what its relay carried: datagrams over UDP (with all `bytes`), bytes over TCP",
            sometimes="bytes",
        ),
        _kind("unsaved", "nodes detail", "what the nodes asked for cannot be saved, and is not acknowledged"),
        _kind("unsent", "to detail", "an answer could not be sent; the other side repeats"),
        _kind("stopped", "", "the process ends"),
    ),
    "mobile router": (
        _kind("ready", "interface", "it keeps packets for nodes that are between two links, when it is told to"),
        _kind("buffer_started", "address", "from now on what comes for the address waits"),
        _kind("buffer_ended", "address packets", "what waited, so many packets, has been sent on, in its order"),
        _kind("buffer_dropped", "address", "the node has not come back in time, and what waited is dropped"),
    ),
    "clockwatch": (
        _kind("ready", "", "in real time: it watches the machine"),
        _kind("second", "late_p95_ms late_max_ms steal idle", "how late timers came, and whose the processors were"),
        _kind("clock_set", "by_ms", "somebody put the machine's clock so far forward (less than 0: back)"),
        _kind(
            "path", "when path expected_ms jitter_ms rtt_ms answered", "the round trip of a path, beside the configured"
        ),
    ),
}
_BY_NAME = {(role, kind.name): kind for role, kinds in CATALOGUE.items() for kind in kinds}


def check(role: str, event: str, fields: Iterable[str]) -> None:
    """Raises CatalogueError unless ``role`` may log ``event`` with ``fields``."""
    kind, given = _BY_NAME.get((role, event)), set(fields)
    if kind is None:
        raise CatalogueError(f"the catalogue has no event {event} of a {role}")
    if missing := set(kind.fields) - given:
        raise CatalogueError(f"{role}: {event} lacks {', '.join(sorted(missing))}")
    if more := given - {*kind.fields, *kind.sometimes}:
        raise CatalogueError(f"{role}: {event} has no field {', '.join(sorted(more))}")


_HEAD = """# Events

Every line of `events.jsonl` has `time_s` (`log/*.events.jsonl`: `time_ns`), `source`, `event`, and the fields below;
those in brackets it does not always have. `source` is `runner`, `controller`, `server`, `clockwatch` or a host's name.
This file is made by `python -m dmmlab.machine.catalogue > docs/events.md`.
"""


def markdown() -> str:
    """docs/events.md."""
    lines = [_HEAD.rstrip()]
    for role, kinds in CATALOGUE.items():
        lines += ["", f"## {role}", "| event | fields | meaning |", "|---|---|---|"]
        for kind in kinds:
            fields = [*(f"`{name}`" for name in kind.fields), *(f"[`{name}`]" for name in kind.sometimes)]
            lines.append(f"| `{kind.name}` | {' '.join(fields)} | {kind.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
