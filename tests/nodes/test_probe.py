"""A session's probes are those that Scapy would make, one by one."""

from __future__ import annotations

from dmmlab.nodes.orders import PROBE_BYTES
from dmmlab.nodes.probe import MAGIC, Probe, probes_of, sequence_of


def test_probes_of_a_session_are_scapys() -> None:
    probe = probes_of(7)
    for sequence, due_ns in ((0, 0), (1, 1_704_067_215_000_000_000), (2**63, 2**64 - 1)):
        made = probe(sequence, due_ns)
        assert made == bytes(Probe(session=7, sequence=sequence, due_ns=due_ns))
        assert len(made) == PROBE_BYTES
        read = Probe(made)
        assert (read.magic, read.session, read.sequence, read.due_ns) == (MAGIC, 7, sequence, due_ns)


def test_an_answer_tells_its_sequence_number() -> None:
    assert sequence_of(probes_of(7)(12, 5)) == 12
    assert sequence_of(b"short") == 0
