"""``python -m dmmlab.controllers``: reads the plan, starts the OpenFlow controller, and stays until SIGTERM.

Exit 0 on SIGTERM or SIGINT, 1 if something broke (the events file says what), 2 on a plan or an option that is wrong.
"""

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dmmlab.controllers.app import FAILED, counters, fail, make_app
from dmmlab.controllers.core import Core
from dmmlab.controllers.framework import NAMES, Framework, FrameworkMissing, load
from dmmlab.controllers.notebook import Notebook, recall
from dmmlab.controllers.plan import Plan, PlanError
from dmmlab.machine import lean
from dmmlab.machine.events import EventLog
from dmmlab.machine.processing import Cost

BAD_INPUT = 2


class _Failing(logging.Handler):
    """The framework logs what breaks in its own threads and carries on; here that ends the process."""

    def __init__(self, timeline: EventLog) -> None:
        super().__init__(logging.ERROR)
        self._timeline = timeline

    def emit(self, record: logging.LogRecord) -> None:
        """End the process with the framework's message."""
        fail(self._timeline, f"{record.name}: {record.getMessage()}", self.format(record))


def main(argv: list[str] | None = None) -> int:
    """Run until a signal; returns only when it could not start or the framework stopped by itself."""
    options = _options(argv)
    try:
        plan = Plan.from_json(options.plan.read_text())
        with lean.importing():
            framework = load(options.framework)
        timeline = EventLog(options.events, "controller", compact=True)
    except (PlanError, FrameworkMissing, OSError) as error:
        print(f"dmmlab.controllers: {error}", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    core = Core(plan, options.redirect)
    notebook = Notebook(options.notebook) if options.notebook is not None else None
    if notebook is not None:
        recall(core, notebook.read(), time.monotonic_ns())
    cost = None if options.packet_in is None else Cost.read(options.packet_in)
    logging.getLogger(framework.name).addHandler(_Failing(timeline))
    _end_on_signal(core, timeline)
    timeline.emit("started", framework=framework.name, redirect=options.redirect, switches=len(plan.switches))
    _serve(framework, options.listen, make_app(framework, core, timeline, notebook, cost))
    fail(timeline, f"{framework.name} stopped by itself")
    return FAILED


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dmmlab.controllers", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the switches, as JSON (dmmlab.controllers.plan)")
    parser.add_argument("--events", type=Path, required=True, help="JSON Lines file to append the timeline to")
    parser.add_argument("--notebook", type=Path, help="file of what another one in its place must know")
    parser.add_argument("--listen", type=_address, default=("0.0.0.0", 6653), metavar="ADDR:PORT")
    parser.add_argument("--no-redirect", dest="redirect", action="store_false", help="learn and report only")
    parser.add_argument("--packet-in", type=Path, metavar="FILE", help="JSON: how long it takes over a packet-in")
    parser.add_argument("--framework", choices=NAMES, help="default: ryu if it is installed, else os_ken")
    return parser.parse_args(argv)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"expected ADDR:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _serve(framework: Framework, listen: tuple[str, int], app: type) -> None:
    """Start the framework's OpenFlow controller and the application; returns when the controller ends."""
    manager = framework.app_manager.AppManager.get_instance()
    manager.load_apps([f"{framework.name}.controller.ofp_handler"])
    framework.cfg.CONF(args=[], project=framework.name, version="dmmlab", default_config_files=[])
    framework.cfg.CONF.set_override("ofp_listen_host", listen[0])
    framework.cfg.CONF.set_override("ofp_tcp_listen_port", listen[1])
    manager.applications_cls["dmmlab.controllers.app"] = app
    services: list[Any] = manager.instantiate_apps()
    framework.hub.joinall(services)


def _end_on_signal(core: Core, timeline: EventLog) -> None:
    def end(signum: int, _: object) -> None:
        # The rules stay: a switch without its controller goes on forwarding.
        timeline.emit("stopped", signal=signal.Signals(signum).name, counters=counters(core))
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


if __name__ == "__main__":
    sys.exit(main())
