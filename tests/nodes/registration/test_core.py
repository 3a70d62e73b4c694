"""The sans-IO cores of server and client in a simulated network: the draft's figures, each leg and each move."""

from dataclasses import replace

from registration_world import KEYS, SERVER, World, register, registered_world, request

from dmmlab.nodes.registration.bindings import (
    LegOpened,
    LegRetired,
    RelayReleased,
    RelayWanted,
)
from dmmlab.nodes.registration.client_core import Status
from dmmlab.nodes.registration.wire import (
    Leg,
    Message,
    MessageType,
    Mode,
    Reason,
    Transport,
    encode,
)


def flow(world: World) -> list[tuple[str, str, str]]:
    """Who sent what to whom, as the draft's figures draw it."""
    names = {peer: node.core.node for peer, node in world.nodes.items()} | {SERVER: "server"}
    return [(names[source], names[to], message.type.name) for source, to, message in world.sent]


def test_p2p_is_one_exchange_with_the_server() -> None:
    world, _, cn = registered_world()
    world.sent.clear()
    outcome = world.ask(cn, request(Mode.P2P))
    assert (outcome.status, outcome.addresses, outcome.port) == (Status.OK, ("10.1.0.2",), 7000)
    assert flow(world) == [("cn3", "server", "SERVICE_REQUEST"), ("server", "cn3", "SERVICE_ANSWER")]


def test_combined_is_answered_by_the_mn_itself() -> None:
    world, mn, cn = registered_world()
    world.sent.clear()
    mn.offer = ("10.2.0.2", 7001)  # moved, and the server does not know
    outcome = world.ask(cn, request(Mode.COMBINED))
    assert (outcome.addresses, outcome.port, outcome.session) == (("10.2.0.2",), 7001, None)
    assert flow(world) == [
        ("cn3", "server", "SERVICE_REQUEST"),
        ("server", "mn1", "INCOMING_REQUEST"),
        ("mn1", "server", "INCOMING_ANSWER"),
        ("server", "cn3", "SERVICE_ANSWER"),
    ]
    assert mn.incoming[0].requester == "cn3"


def test_central_gives_the_relay_and_the_mn_its_leg() -> None:
    world, mn, cn = registered_world()
    outcome = world.ask(cn, request(Mode.CENTRAL, peer_address="10.3.0.2", peer_port=9000))
    assert (outcome.addresses, outcome.port) == (("10.0.0.5",), 30000)
    assert mn.incoming[0].relay == ("10.0.0.5", 30001) and mn.incoming[0].peer == ("10.3.0.2", 9000)
    session = outcome.session
    assert session is not None
    assert world.relay_events == [
        RelayWanted(session, Transport.UDP, ("10.3.0.2", 9000)),
        LegOpened(session, ("10.1.0.2", 7000), Leg.PLAIN, ("udp", "10.1.0.2", 7000), 0, session),
    ]


def test_a_second_leg_leaves_the_registration_alone_and_retires_the_first_by_timer() -> None:
    world, mn, cn = registered_world(leg_linger_s=5.0)
    session = world.ask(cn, request(Mode.CENTRAL)).session
    leg = Message(MessageType.LEG_OPEN, 0, session=session, addresses=("10.2.0.2",), port=7000)
    world.move(mn, "10.2.0.2")
    assert world.ask(mn, leg, 1.0).port == 30001
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000), ("10.2.0.2", 7000)]
    binding = world.server.records["mn1"].binding
    assert binding is not None and binding.addresses == ("10.1.0.2",)
    world.run(5.0)
    retired = LegRetired(session or 0, ("10.1.0.2", 7000))
    assert world.relay_events[-1] == retired
    assert world.ask(cn, Message(MessageType.SESSION_CLOSE, 0, session=session)).ok
    assert world.relay_events[-2:] == [retired, RelayReleased(session or 0)]


def test_the_mn_is_told_once_that_its_datagram_session_is_over_unless_it_ended_it_itself() -> None:
    world, mn, cn = registered_world()
    closed_by_cn = world.ask(cn, request(Mode.CENTRAL)).session
    world.sent.clear()
    assert world.ask(cn, Message(MessageType.SESSION_CLOSE, 0, session=closed_by_cn)).ok
    assert sorted(flow(world)) == [
        ("cn3", "server", "SESSION_CLOSE"),
        ("server", "cn3", "SESSION_CLOSED"),
        ("server", "mn1", "SESSION_ENDED"),
    ]
    told = next(message for _, peer, message in world.sent if peer == mn.peer)
    mn.core.receive(encode(told, KEYS["mn1"]), world.now_ns)  # a replay says nothing new
    for node, transport in ((mn, Transport.UDP), (cn, Transport.TCP)):  # a stream's end tells by itself
        session = world.ask(cn, request(Mode.CENTRAL, transport=transport)).session
        assert world.ask(node, Message(MessageType.SESSION_CLOSE, 0, session=session)).ok
    world.settle()
    assert mn.ended == [closed_by_cn] and cn.ended == []


def test_nobody_else_can_end_a_session_in_the_servers_name() -> None:
    world, mn, _ = registered_world()
    forged = Message(MessageType.SESSION_ENDED, 2**40, node="mn1", session=5)
    mn.core.receive(encode(forged, KEYS["mn2"]), world.now_ns)
    world.settle()
    assert mn.ended == []


def test_an_answer_that_was_given_before_a_move_and_comes_after_it_takes_no_session_back() -> None:
    world, mn, cn = registered_world()
    mn.mute = True
    ticket = cn.core.start(request(Mode.CENTRAL), world.now_ns)
    world.run(0.1)
    world.move(mn, "10.2.0.2")
    leg = Message(MessageType.LEG_OPEN, 0, session=mn.incoming[0].session, addresses=("10.2.0.2",), port=7000)
    assert world.ask(mn, leg, 1.0).ok
    mn.core.answer(mn.incoming[0].number, replace(leg, type=MessageType.INCOMING_ANSWER, addresses=("10.1.0.2",)))
    world.run(0.1)
    assert cn.outcomes[ticket].ok and cn.outcomes[ticket].addresses == ("10.0.0.5",)
    assert world.server.requests.sessions[leg.session or 0].legs[-1] == ("10.2.0.2", 7000)


def test_going_back_to_an_old_leg_keeps_it() -> None:
    world, mn, cn = registered_world(leg_linger_s=5.0)
    session = world.ask(cn, request(Mode.CENTRAL)).session
    for host, seconds in (("10.2.0.2", 2.0), ("10.1.0.2", 4.0)):
        world.move(mn, host)
        world.ask(mn, Message(MessageType.LEG_OPEN, 0, session=session, addresses=(host,), port=7000), seconds)
    assert world.server.requests.sessions[session or 0].legs[-1] == ("10.1.0.2", 7000)
    world.run(20.0)
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000)]


def test_only_the_mn_of_a_session_opens_its_legs() -> None:
    world, _, cn = registered_world()
    session = world.ask(cn, request(Mode.CENTRAL)).session
    for name in ("cn3", "mn2"):
        node = cn if name == "cn3" else world.node("mn2", "10.9.0.2")
        leg = Message(MessageType.LEG_OPEN, 0, session=session, addresses=("10.9.0.2",), port=1)
        assert world.ask(node, leg).reason is Reason.UNKNOWN_SESSION
    assert world.server.requests.sessions[session or 0].legs == [("10.1.0.2", 7000)]


def test_a_refresh_leaves_established_sessions_alone_and_a_move_redirects_the_request() -> None:
    world, mn, cn = registered_world()
    mn.mute = True
    ticket = cn.core.start(request(Mode.COMBINED), world.now_ns)
    world.run(0.1)
    world.move(mn, "10.2.0.2")
    mn.mute, mn.offer = False, ("10.2.0.2", 7000)
    mn.core._window.bitmap = mn.core._window.highest = 0  # the first copy was lost with the old link
    mn.core.start(register("10.2.0.2"), world.now_ns)
    world.run(0.1)
    assert cn.outcomes[ticket].addresses == ("10.2.0.2",)


def test_a_node_may_have_several_services_at_its_addresses() -> None:
    world, mn, cn = registered_world()
    assert world.ask(mn, register(service="echo", services=(("bulk", 7001),))).ok
    for service, port in (("", 7000), ("echo", 7000), ("bulk", 7001)):
        assert world.ask(cn, request(Mode.P2P, service=service)).port == port
    assert world.ask(cn, request(Mode.P2P, service="mail")).reason is Reason.UNKNOWN_SERVICE
    again = World(records=tuple(world.saved.values()))
    assert again.ask(again.node("cn3", "10.3.0.2", first=10**6), request(Mode.P2P, service="bulk")).port == 7001
