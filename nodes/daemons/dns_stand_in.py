"""What answers in the resolver's place while a scenario has it answer otherwise."""

from __future__ import annotations

import selectors
import socket
import struct
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rcode

from dmmlab.nodes.daemons.agent import Agent
from dmmlab.nodes.orders import DNS_PORT

SERVFAIL, TRUNCATED, SILENT = "servfail", "truncated", "silent"
_WAIT_S = 5.0  # for the server that knows


@dataclass(frozen=True)
class DnsStandIn(Agent):
    """At ``address``: answers SERVFAIL, or over UDP that the answer was truncated and over TCP what the server at
    ``ddns`` says, or nothing.
    """

    answers: str
    address: str
    ddns: str

    @property
    def argv(self) -> list[str]:
        """None: it is no program of its own."""
        return []

    def run(self) -> None:
        """Serves until it is ended."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        datagrams, streams = (socket.socket(family, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (datagrams, streams):
            one.bind((self.address, DNS_PORT))
        streams.listen()
        ready = selectors.DefaultSelector()
        ready.register(datagrams, selectors.EVENT_READ)
        ready.register(streams, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is datagrams:
                    question, sender = datagrams.recvfrom(65535)
                    if (answer := self.over_udp(question)) is not None:
                        datagrams.sendto(answer, sender)
                else:
                    self._stream(streams.accept()[0])

    def over_udp(self, question: bytes) -> bytes | None:
        """What is answered over UDP; None: nothing."""
        if self.answers == SILENT:
            return None
        answer = dns.message.make_response(dns.message.from_wire(question), recursion_available=True)
        if self.answers == SERVFAIL:
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            answer.flags |= dns.flags.TC
        return bytes(answer.to_wire())

    def _stream(self, stream: socket.socket) -> None:
        """One question over TCP (RFC 1035 section 4.2.2), and its answer."""
        with stream:
            stream.settimeout(_WAIT_S)
            try:
                (length,) = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))
                question = stream.recv(length, socket.MSG_WAITALL)
                answer = self._forwarded(question) if self.answers == TRUNCATED else self.over_udp(question)
                if answer is not None:
                    stream.sendall(struct.pack("!H", len(answer)) + answer)
            except (OSError, struct.error):
                return  # whoever asked has gone, or nobody knows

    def _forwarded(self, question: bytes) -> bytes:
        with socket.socket(socket.AF_INET6 if ":" in self.ddns else socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.settimeout(_WAIT_S)
            there.connect((self.ddns, DNS_PORT))
            there.send(question)
            return there.recv(65535)
