"""The seam to Ryu 4.34 or its maintained fork os-ken: whichever is installed, or is asked for, under one set of names.

Both have the same application interface. What differs is the base class's name, the threads (eventlet's, native), and
that Ryu needs help to start beside today's eventlet.
"""

import importlib
import os
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from dmmlab.controllers import at_once, eventlet_order
from dmmlab.machine import lean

NAMES = ("ryu", "os_ken")
_OTHER_VERSIONS = {"v1_2": 0x03, "v1_4": 0x05, "v1_5": 0x06}  # that Ryu would import, with their numbers on the wire


class FrameworkMissing(RuntimeError):
    """Neither framework, or not the one that was asked for, is installed."""


@dataclass(frozen=True)
class Framework:
    """The parts of a framework that the application and its launcher use."""

    name: str
    App: type
    app_manager: Any
    cfg: Any
    datapath: Any
    event: Any
    handler: Any
    hub: Any
    ofp_event: Any
    ofproto: Any


def load(name: str | None = None) -> Framework:
    """Import a framework, Ryu first if none is named; FrameworkMissing says what to install."""
    chosen = [each for each in ([name] if name else NAMES) if find_spec(each)]
    if not chosen:
        raise FrameworkMissing(f"{name or 'ryu or os_ken'} is not installed: pip install os-ken")
    if chosen[0] == "ryu":
        _make_way_for_ryu()

    def part(module: str) -> Any:
        return importlib.import_module(f"{chosen[0]}.{module}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app_manager = part("base.app_manager")
        datapath = part("controller.controller").Datapath
        if chosen[0] == "ryu":
            at_once.send_at_once(datapath)
            at_once.receive_at_once(datapath, part)
            app = at_once.application(app_manager.RyuApp)
        else:
            _wake_sender_at_end(datapath)
            app = app_manager.OSKenApp
        return Framework(
            name=chosen[0],
            App=app,
            app_manager=app_manager,
            cfg=part("cfg"),
            datapath=datapath,
            event=part("controller.event"),
            handler=part("controller.handler"),
            hub=part("lib.hub"),
            ofp_event=part("controller.ofp_event"),
            ofproto=part("ofproto.ofproto_v1_3"),
        )


def _make_way_for_ryu() -> None:
    """Ryu wants a name that eventlet dropped in 0.30.3, and imports a web server that nothing here uses."""
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # a tenth of a second of imports for a resolver
    # As if it were not installed: eventlet imports it where it is, as slowly as a resolver, and nothing here uses it.
    sys.modules.setdefault("OpenSSL", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wsgi = importlib.import_module("eventlet.wsgi")
    if not hasattr(wsgi, "ALREADY_HANDLED"):
        wsgi.ALREADY_HANDLED = object()  # type: ignore[attr-defined]
    eventlet_order.put_in_order()
    lean.put("ryu.app.wsgi")
    lean.put("rfc3986")  # what its configuration, which stays as it is, would check addresses of pages with
    lean.put("stevedore")  # and what it would look for drivers with
    _leave_out_other_protocols()


def _leave_out_other_protocols() -> None:
    """Of OpenFlow only what speaks 1.3, of Ryu's packets nothing: a third of its imports."""
    for version, number in _OTHER_VERSIONS.items():
        lean.put(f"ryu.ofproto.ofproto_{version}", OFP_VERSION=number)
    for version in ("v1_0", *_OTHER_VERSIONS):
        lean.put(f"ryu.ofproto.ofproto_{version}_parser")
    lean.put_package("ryu.lib.packet")
    lean.put("ryu.lib.packet.packet", Packet=type("Packet", (), {}))  # which a packet-out's data might be


def _wake_sender_at_end(datapath: Any) -> None:
    """os-ken's native threads cannot be killed, so a lost connection waits for its sender, and that for a message.

    Without this the loss is noticed when the next rule is sent, and not before. A message after the receiver's end
    wakes the sender, which finds the socket closed.
    """
    receive = datapath._recv_loop
    if getattr(receive, "wakes_sender", False):
        return

    def receive_then_wake(self: Any) -> None:
        try:
            receive(self)
        finally:
            self.send(b"", close_socket=True)

    receive_then_wake.wakes_sender = True  # type: ignore[attr-defined]
    datapath._recv_loop = receive_then_wake
