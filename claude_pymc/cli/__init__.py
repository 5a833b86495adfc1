"""The command line: thin, and importing what samples only in the verbs that need it."""

from claude_pymc.cli.campaign import campaign
from claude_pymc.cli.figure import figure4
from claude_pymc.cli.verbs import cli, main

cli.add_command(campaign)
cli.add_command(figure4)

__all__ = ["cli", "main"]
