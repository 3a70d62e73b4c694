"""Rules to OpenFlow 1.3 messages and back: the only place that calls the framework's parser.

It reads what comes; most of what goes is packed by `wire`.

A connection brings the framework's pair of modules, constants and parser, so that Ryu and os-ken share this code.
"""

from typing import Any

from dmmlab.controllers import wire
from dmmlab.controllers.rules import (
    OWN,
    OWN_MASK,
    Action,
    Copy,
    Goto,
    Normal,
    Output,
    OutputInPort,
    Rule,
    SetField,
    ToController,
    Value,
)

_MACS = ("eth_src", "eth_dst", "arp_sha", "arp_tha", "ipv6_nd_sll", "ipv6_nd_tll")


class Translator:
    """Builds and reads the messages of one switch connection (the framework's ``Datapath``)."""

    def __init__(self, datapath: Any) -> None:
        self._datapath = datapath
        self._constants = datapath.ofproto
        self._parser = datapath.ofproto_parser

    def install(self, rule: Rule) -> Any:
        """The flow-mod that adds the rule, or puts it in the place of one with the same match and priority."""
        flags = self._constants.OFPFF_SEND_FLOW_REM if rule.notify_removal else 0
        return self._flow_mod(rule, self._constants.OFPFC_ADD, flags)

    def remove(self, rule: Rule) -> Any:
        """The flow-mod that removes exactly this rule."""
        return self._flow_mod(rule, self._constants.OFPFC_DELETE_STRICT, 0)

    def send_frame(self, port: int, frame: bytes) -> Any:
        """The packet-out that sends a frame out of a port."""
        constants = self._constants
        return self._parser.OFPPacketOut(
            self._datapath,
            buffer_id=constants.OFP_NO_BUFFER,
            in_port=constants.OFPP_CONTROLLER,
            actions=[self._parser.OFPActionOutput(port)],
            data=frame,
        )

    def report_rules(self) -> Any:
        """The request for every rule that bears this controller's mark."""
        constants = self._constants
        return self._parser.OFPFlowStatsRequest(
            self._datapath,
            table_id=constants.OFPTT_ALL,
            out_port=constants.OFPP_ANY,
            out_group=constants.OFPG_ANY,
            cookie=OWN,
            cookie_mask=OWN_MASK,
        )

    def _flow_mod(self, rule: Rule, command: int, flags: int) -> Any:
        return wire.flow_mod(rule, command, flags) or self.spelled_by_framework(rule, command, flags)

    def spelled_by_framework(self, rule: Rule, command: int, flags: int) -> Any:
        """A flow-mod that may say anything that OpenFlow can say; the same bytes as `wire` where that can say it."""
        constants = self._constants
        return self._parser.OFPFlowMod(
            self._datapath,
            cookie=rule.cookie,
            table_id=rule.table,
            command=command,
            hard_timeout=rule.hard_timeout_s,
            priority=rule.priority,
            buffer_id=constants.OFP_NO_BUFFER,
            out_port=constants.OFPP_ANY,
            out_group=constants.OFPG_ANY,
            flags=flags,
            match=self._parser.OFPMatch(**dict(rule.match)),
            instructions=self._instructions(rule.actions),
        )

    def _instructions(self, actions: tuple[Action, ...]) -> list[Any]:
        parser, constants = self._parser, self._constants
        apply = [self._action(each) for each in actions if not isinstance(each, Goto)]
        instructions = [parser.OFPInstructionActions(constants.OFPIT_APPLY_ACTIONS, apply)] if apply else []
        return instructions + [parser.OFPInstructionGotoTable(each.table) for each in actions if isinstance(each, Goto)]

    def _action(self, action: Action) -> Any:
        parser, constants = self._parser, self._constants
        match action:
            case Output(port):
                return parser.OFPActionOutput(port)
            case OutputInPort():
                return parser.OFPActionOutput(constants.OFPP_IN_PORT)
            case Normal():
                return parser.OFPActionOutput(constants.OFPP_NORMAL)
            case ToController(max_len):
                return parser.OFPActionOutput(constants.OFPP_CONTROLLER, max_len)
            case SetField(name, value):
                return parser.OFPActionSetField(**{name: value})
            case Copy(source, target, bits):
                return parser.NXActionRegMove(src_field=source, dst_field=target, n_bits=bits)
            case _:
                raise TypeError(f"{action} is not an action")

    def rule(self, entry: Any) -> Rule:
        """The rule in a flow-stats entry, a flow-mod or a flow-removed message; ValueError if it is none of ours."""
        fields = {name: _value(name, value) for name, value in entry.match.items()}
        flags = getattr(entry, "flags", 0)
        return Rule(
            table=entry.table_id,
            priority=entry.priority,
            match=tuple(sorted(fields.items())),
            actions=tuple(self._read(getattr(entry, "instructions", ()))),
            cookie=entry.cookie,
            hard_timeout_s=entry.hard_timeout,
            notify_removal=bool(flags & self._constants.OFPFF_SEND_FLOW_REM),
        )

    def _read(self, instructions: Any) -> list[Action]:
        found: list[Action] = []
        for instruction in instructions:
            if instruction.type == self._constants.OFPIT_GOTO_TABLE:
                found.append(Goto(instruction.table_id))
            elif instruction.type == self._constants.OFPIT_APPLY_ACTIONS:
                found += [self._read_action(each) for each in instruction.actions]
            else:
                raise ValueError(f"instruction {instruction.type} is none of ours")
        return found

    def _read_action(self, action: Any) -> Action:
        constants = self._constants
        if action.type == constants.OFPAT_SET_FIELD:
            return SetField(action.key, _value(action.key, action.value))
        if isinstance(action, self._parser.NXActionRegMove):
            return Copy(action.src_field, action.dst_field, action.n_bits)
        if action.type != constants.OFPAT_OUTPUT:
            raise ValueError(f"action {action.type} is none of ours")
        if action.port == constants.OFPP_CONTROLLER:
            return ToController(action.max_len)
        if action.port == constants.OFPP_IN_PORT:
            return OutputInPort()
        return Normal() if action.port == constants.OFPP_NORMAL else Output(action.port)


def _value(name: str, value: Any) -> Value:
    """A field's value in a rule's spelling: MACs in lower case, numbers as they are."""
    if isinstance(value, str):
        return value.lower() if name in _MACS else value
    if isinstance(value, int):
        return value
    raise ValueError(f"{name}: a masked match is none of ours")
