"""The options that several commands share, under one name and with one meaning."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA = Path(".dragan")
DEFAULT_LANES = Path("lanes.yaml")
DEFAULT_PORT = 8642

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON; problems are JSON on stderr.")]
DataFolder = Annotated[Path, typer.Option("--data", metavar="DIR", help="The data folder of the control plane.")]
LanesFile = Annotated[Path, typer.Option("--lanes", metavar="FILE", help="The lanes file.")]
ServerUrl = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The control plane; found by --data when left out."),
]
ServerToken = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="What to show it; else UA_OPS_TOKEN, else found by --data."),
]
MissionId = Annotated[str, typer.Argument(metavar="ID", help="The mission.")]
LaneId = Annotated[str, typer.Argument(metavar="VP", help="The lane.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the ledger.")]


def command_group(help_text: str) -> typer.Typer:
    """An empty group of commands that shows its help when called without one."""
    # Help stays plain text: it is quicker, and brackets in it mean themselves.
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
