"""The plan of a network from its nodes' names and their wires: interfaces, addresses and MACs follow from the order.

Two plans of the same scenario are equal.
"""

from __future__ import annotations

from collections.abc import Mapping

from dmmlab.topologies.addressing import Dad, Family, Port, Scheme, Size, scheme_for
from dmmlab.topologies.plan import (
    CONTROLLER,
    CORE,
    Air,
    ControlNetwork,
    Host,
    InterMrLink,
    MobileNode,
    MobileRouter,
    NetworkPlan,
    Radio,
    Wire,
)


def plan_network(
    mobile_routers: Mapping[str, Wire],
    inter_mr: Mapping[tuple[str, str], Wire],
    hosts: Mapping[str, Wire],
    mobile_nodes: Mapping[str, Wire | Air],
    control: Wire,
    pairs: Mapping[frozenset[str], float] | None = None,
    family: Family = "ipv4",
    dad: Dad = "off",
) -> NetworkPlan:
    """The network in which each named node hangs on the core (or, for a mobile node, on the radio) by its wire.

    ``inter_mr`` is keyed by pairs of mobile routers; ``pairs`` has the delays between two nodes at the core, seconds,
    that are not the sum of their ways to it. ValueError, one sentence, if the network is larger than any scheme holds.
    """
    scheme = scheme_for(Size(len(mobile_routers), len(hosts), len(mobile_nodes)), family)
    routers = {name: _router(scheme, i, name, wire) for i, (name, wire) in enumerate(mobile_routers.items(), 1)}
    return NetworkPlan(
        scheme=scheme,
        mobile_routers=tuple(routers.values()),
        inter_mr=tuple(_inter_mr(routers, pair, wire) for pair, wire in inter_mr.items()),
        hosts=tuple(_host(scheme, k, name, wire) for k, (name, wire) in enumerate(hosts.items(), 1)),
        mobile_nodes=tuple(
            _mobile_node(scheme, j, name, air if isinstance(air, Air) else Air(air), routers)
            for j, (name, air) in enumerate(mobile_nodes.items(), 1)
        ),
        control=_control(scheme, control),
        pairs=dict(pairs or {}),
        dad=dad,
    )


def _control(scheme: Scheme, wire: Wire) -> ControlNetwork:
    link = scheme.control_link()
    return ControlNetwork(
        interface=f"{CONTROLLER}-eth0",
        switch_interface="control",
        mac=scheme.mac(Port.CONTROL, 1),
        switch_mac=scheme.mac(Port.CONTROL, 2),
        address=link.far,
        switch_address=link.near,
        wire=wire,
    )


def _router(scheme: Scheme, i: int, name: str, wire: Wire) -> MobileRouter:
    link = scheme.router_link(i)
    return MobileRouter(
        name=name,
        switch=f"s{i}",
        dpid=i,
        core_interface=f"{name}-eth0",
        router_interface=f"{CORE}-{name}",
        core_address=link.far,
        router_address=link.near,
        core_mac=scheme.mac(Port.ROUTER_CORE, i),
        router_mac=scheme.mac(Port.CORE_TO_ROUTER, i),
        core_wire=wire,
        access_interface=f"{name}-eth1",
        access_mac=scheme.mac(Port.ROUTER_ACCESS, i),
        router_port=f"s{i}-eth1",
        gateway=scheme.gateway(i),
    )


def _inter_mr(routers: Mapping[str, MobileRouter], pair: tuple[str, str], wire: Wire) -> InterMrLink:
    first, second = (routers[name].switch for name in pair)
    ports = (f"{first}-{second}", f"{second}-{first}")
    return InterMrLink(pair, ports, (f"{ports[0]}-mid", f"{ports[1]}-mid"), wire)


def _host(scheme: Scheme, k: int, name: str, wire: Wire) -> Host:
    link = scheme.host_link(k)
    return Host(
        name=name,
        interface=f"{name}-eth0",
        core_interface=f"{CORE}-{name}",
        mac=scheme.mac(Port.HOST, k),
        core_mac=scheme.mac(Port.CORE_TO_HOST, k),
        address=link.far,
        gateway=link.near,
        wire=wire,
    )


def _mobile_node(scheme: Scheme, j: int, name: str, air: Air, routers: Mapping[str, MobileRouter]) -> MobileNode:
    mac = scheme.mac(Port.SECOND_RADIO, j)
    second = Radio(f"{name}-eth1", mac, f"{name}-rad2", (f"{name}-air2", f"{name}-mst2"))
    return MobileNode(
        name=name,
        interface=f"{name}-eth0",
        mac=scheme.mac(Port.MOBILE_NODE, j),
        radio_port=f"{name}-radio",
        middle=(f"{name}-air", f"{name}-mast"),
        wire=air.everywhere,
        addresses={router.name: scheme.mobile_node(router.dpid, j) for router in routers.values()},
        second=second if air.second else None,
        other_wires=air.wires,
    )
