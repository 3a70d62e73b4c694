"""Programs that a session runs at its two ends (``run``): the key.

Each has a port of its own at the node that it is opened to, and is a service there, so that whatever method the session
has gives that port, as it does for dmmlab's own services.
"""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import BeforeValidator, Field

from dmmlab.experiments.scenario.section import Section
from dmmlab.experiments.scenario.units import Duration

SERVER, CLIENT = "server", "client"
ROLES = (SERVER, CLIENT)
AFTER_S = 0.5  # how long after a session's end its server is ended
_SERVICE = "program-"  # a session's service is called that, and its number


def _as_words(value: object) -> object:
    """A command is cut as a POSIX shell splits it, quotes and all; no shell ever sees it."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_words), Field(min_length=1)]


class Run(Section):
    """What is started at the node that the session is opened to, and at the one that opens it: commands, or lists of
    their words. ``port`` is the server's; each session has one of its own if none is given. It is started ``ahead`` of
    the session.
    """

    client: Words
    server: Words | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    ahead: Duration = 1.0

    def command(self, role: str) -> tuple[str, ...] | None:
        """The words of the program in this role; None if it has none."""
        return self.client if role == CLIENT else self.server


def service(number: int) -> str:
    """What the service of session ``number`` is called."""
    return f"{_SERVICE}{number}"
