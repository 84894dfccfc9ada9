"""Runs the command line in this process: for tests of what the commands ask and print."""

from pathlib import Path

from longtail.client.cli.__main__ import app
from typer.testing import CliRunner, Result


def run(*arguments: str | Path, address: str) -> Result:
    """Return what a command printed, how it ended, and the exception that it ended with."""
    environment = {"LONGTAIL_SERVER_ADDRESS": address, "COLUMNS": "240", "TERM": "dumb"}
    return CliRunner().invoke(app, [*map(str, arguments)], env=environment)


def row(printed: str, *words: str) -> str:
    """Return the one line that has all the words, without the frame at its end."""
    (line,) = [line for line in printed.splitlines() if all(word in line for word in words)]
    return line.rstrip(" │")
