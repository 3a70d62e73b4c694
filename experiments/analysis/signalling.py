"""signalling.csv: every message that the nodes said to each other, once, and what it was said for.

A function of the run directory: captures and events. A message is taken from its sender's capture, or from its
receiver's where the sender has none (mobile routers, switches). ``cause`` is a session's name, a movement
(``MN1→MR2@10s``; the first attachment is one), ``start-up``, ``keepalive`` or ``refresh``; ``unknown`` where no rule
below applies. An answer has its request's cause: DNS and DHCP by transaction and client, registration by node and
sequence number, OpenFlow by connection and transaction.

What a request is for, when many things go on at once:

- *registration*: a service request names the CN's user-plane port, which is 20000 + the session's number; the server's
  request to the MN repeats it, and gives the relayed session its number, by which legs are told apart. A REGISTER
  serves the movement to the router that its newest address is from; one that repeats what was granted is a refresh. A
  leg that the MN opens or closes serves the movement to the router of the leg's address.
- *dns*: the CN asks for SRV and address of the target in the order in which its lookups start (one event loop, first
  in, first out). A query therefore belongs to the earliest lookup that is open (``lookup_started`` to
  ``lookup_ended``, not answered from the CN's own cache), by DDNS, with that name, type and transport, and that has
  not asked this yet. A question of the resolver's own belongs to the earliest question of that name and type that has
  reached it and waits for its answer. A mobile node asks for the server of its first registration: its movement.
- *dns-update*: the movement to the router that the sender's address is from.
- *dhcp*: the mobile node's movement by then; a lease asked for after the address was configured is a refresh; a release
  serves the movement that left the address's router.
- *arp*: only what is part of an attachment: of each pair, the first broadcast question after a movement, its
  repetitions and its answer. Probes of reachability later on are the kernel's and are left out.
- *nd* (IPv6): router solicitations and advertisements, the detection of duplicates and what is announced: the mobile
  node's movement by then; else as with ARP, so that probes of reachability are left out. A packet-in that copies one of
  these keeps alive, too.
- *openflow*: a packet-in that copies a DHCP message goes with that message, and so does what the controller then says
  of the address, what it removes of an address that was released, and what it says of no address in the same breath.
  Else: the movement by then, made or announced, of the mobile node whose port, MAC or address the message matches or
  carries; a message that names none (a barrier) goes with the one before it. Echo requests keep the channel alive.
- *handover*: what a node announces: the movement that it announces.
"""

from __future__ import annotations

from dmmlab.experiments.analysis.causes.arp import ArpRule
from dmmlab.experiments.analysis.causes.dhcp import DhcpRule
from dmmlab.experiments.analysis.causes.discovery import DiscoveryRule
from dmmlab.experiments.analysis.causes.dns import DnsRule, UpdateRule
from dmmlab.experiments.analysis.causes.leaving import LeavingRule
from dmmlab.experiments.analysis.causes.moves import START_UP, UNKNOWN, Moves, SignallingTrace
from dmmlab.experiments.analysis.causes.openflow import OpenFlowRule
from dmmlab.experiments.analysis.causes.registration import RegistrationRule
from dmmlab.experiments.analysis.messages import Message
from dmmlab.experiments.records.recording import Recording
from dmmlab.experiments.records.rows import SignallingRow


def rows(recording: Recording) -> list[SignallingRow]:
    """The rows of signalling.csv, by time. Raises RecordError if the run's scenario never started."""
    trace = SignallingTrace.of(recording)
    return [
        SignallingRow(
            time_s=(message.time_ns - trace.start_ns) / 1e9,
            protocol=message.protocol,
            source=message.source,
            destination=message.destination,
            message=message.text,
            bytes=message.length,
            cause=cause,
        )
        for message, cause in attributed(trace)
    ]


def attributed(trace: SignallingTrace) -> list[tuple[Message, str]]:
    """Each message once, with its cause. ARP that is not part of an attachment is left out."""
    moves = Moves(trace)
    dhcp = DhcpRule(trace, moves)
    rules = {
        "registration": RegistrationRule(trace, moves).of,
        "dns": DnsRule(trace, moves).of,
        "dns-update": UpdateRule(moves).of,
        "dhcp": dhcp.of,
        "arp": ArpRule(trace, moves).of,
        "nd": DiscoveryRule(trace, moves).of,
        "openflow": OpenFlowRule(trace, moves, dhcp).of,
        "handover": LeavingRule(moves).of,
    }
    found = []
    for message in trace.once():
        cause = rules[message.protocol](message)
        if cause == UNKNOWN and message.time_ns < trace.start_ns:
            cause = START_UP
        if cause:
            found.append((message, cause))
    return found
