"""Who the nodes of a scenario are: their permanent IDs, and the zone in which those are names."""

from __future__ import annotations

from dmmlab.experiments.scenario.model import Scenario
from dmmlab.nodes.guid import derive

ZONE = "mn.dmm.test"  # of the mobile nodes' names (RFC 6761: test. is nobody's)
_REALM = "dmm.test"  # of the nodes' credentials


def node_id(name: str) -> str:
    """The permanent ID of node ``name`` in its FQDN form (RFC 4703), from its credential."""
    return derive(f"{name}@{_REALM}", label=name.lower()).fqdn(ZONE)


def identities(scenario: Scenario) -> dict[str, dict[str, str]]:
    """Each node's global unique ID: the FQDN, the UUID behind it, and the MN identifier option (RFC 4283, RFC 8371)."""
    names = (*scenario.mobile_nodes, *scenario.correspondents)
    guids = {name: derive(f"{name}@{_REALM}", label=name.lower()) for name in names}
    return {
        name: {"fqdn": guid.fqdn(ZONE), "uuid": str(guid.uuid), "mn_identifier_option": guid.mn_option.hex()}
        for name, guid in guids.items()
    }
