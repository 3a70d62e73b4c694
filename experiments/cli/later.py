"""Commands that stand in modules of their own, which are imported when such a command is given."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Later(NamedTuple):
    """A command of ``module``, which has its name, and its line in the help of the group."""

    module: str
    line: str


class Group(click.Group):
    """A group that also has the commands ``later``, by their names."""

    def __init__(self, *args: Any, later: Mapping[str, Later], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all, in order."""
        return sorted([*super().list_commands(ctx), *self.later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported if need be; None if there is none."""
        if cmd_name in self.later:
            command: click.Command = getattr(import_module(self.later[cmd_name].module), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, but without importing anything."""
        width = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        rows = [
            (name, self.later[name].line if name in self.later else self.commands[name].get_short_help_str(width))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
