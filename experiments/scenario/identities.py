"""Who the nodes of a scenario are: their permanent IDs, and the zone in which those are names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dmmlab.experiments.scenario.model import Scenario
from dmmlab.experiments.scenario.sections.addresses import Identity
from dmmlab.nodes.guid import Guid, GuidError, GuidLedger, derive

ZONE = "mn.dmm.test"  # of the mobile nodes' names (RFC 6761: test. is nobody's)
_REALM = "dmm.test"  # of the nodes' credentials


def node_id(scenario: Scenario, name: str) -> str:
    """The permanent ID of node ``name`` in its FQDN form (RFC 4703), from its credential."""
    return _guid(scenario, name).fqdn(ZONE)


def identities(scenario: Scenario) -> dict[str, dict[str, str]]:
    """Each node's global unique ID: the FQDN, the UUID behind it, and the MN identifier option (RFC 4283, RFC 8371)."""
    guids = {name: _guid(scenario, name) for name in _nodes(scenario)}
    return {
        name: {"fqdn": guid.fqdn(ZONE), "uuid": str(guid.uuid), "mn_identifier_option": guid.mn_option.hex()}
        for name, guid in guids.items()
    }


def identified(scenario: Scenario, ledger: Path) -> Scenario:
    """``scenario`` with the IDs that its nodes have in ``ledger``, which allocates those that it does not have yet.

    A node's label is its name; where the ledger has given that to another credential, it follows from its UUID.
    Raises GuidError, one sentence, for a ledger that cannot be used and for a node whose ID was withdrawn.
    """
    with closing(GuidLedger(ledger)) as book:
        labels = {name: _allocated(book, name).label for name in _nodes(scenario)}
    found = (Identity(node=name, label=label) for name, label in labels.items() if label != name.lower())
    return scenario.model_copy(update={"identities": tuple(found)})


def _allocated(book: GuidLedger, name: str) -> Guid:
    credential, label = _credential(name), name.lower()
    guid = book.allocate(credential, None if book.knows(credential) or book.gave(label) else label)
    if guid.uuid != derive(credential).uuid:
        raise GuidError(f"the ledger has {guid.uuid} for {credential}, which is not its GUID; use another ledger")
    return guid


def _guid(scenario: Scenario, name: str) -> Guid:
    return derive(_credential(name), label=scenario.labels.get(name, name.lower()))


def _credential(name: str) -> str:
    return f"{name}@{_REALM}"


def _nodes(scenario: Scenario) -> Iterator[str]:
    yield from scenario.mobile_nodes
    yield from scenario.correspondents
