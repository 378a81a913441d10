"""Options that know their group in --help and the setting behind them, and a group of commands that shows both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from swarm.config.flags import SETTING_OF_FLAG

GROUPS = ("Model", "Federation", "Network", "Files and logs", "Other")


class GroupedOption(click.Option):
    """`group` is its heading in --help. An option that sets a setting names the variable that sets it too."""

    def __init__(self, *arguments: Any, group: str = "Other", **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.group = group

    @property
    def flag(self) -> str:
        return max(self.opts, key=len)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        setting = SETTING_OF_FLAG.get(self.flag)
        if record is None or setting is None:
            return record
        return record[0], f"{record[1]}  [SWARM_{setting.replace('.', '_').upper()}]"


class DaemonGroup(click.Group):
    """Shows its options under headings; runs the daemon itself where no sub-command is named."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in GROUPS:
            records = _records(self.get_params(ctx), group, ctx)
            if records:
                with formatter.section(group):
                    formatter.write_dl(records, col_max=26)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # Written as it stands: click would run the lines of a table together.
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


def _records(parameters: Iterable[click.Parameter], group: str, ctx: click.Context) -> list[tuple[str, str]]:
    chosen = [parameter for parameter in parameters if getattr(parameter, "group", "Other") == group]
    return [record for parameter in chosen if (record := parameter.get_help_record(ctx)) is not None]
