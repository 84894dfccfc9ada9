"""The `longtail` command line: its commands, and what becomes of their failures.

Exit codes: 0 done; 1 the server refused, failed or is away, or something named does not exist;
2 wrong usage or a file of no use; 3 rows were dropped and --strict was given; 130 interrupted.
Messages go to standard error.
"""

import io
import sys

import grpc
import typer
from longtail.client.calls.channel import ADDRESS_VARIABLE, KEY_VARIABLE, AddressError
from longtail.client.calls.errors import LongtailError
from longtail.client.cli import (
    admin,
    catalogue,
    compare,
    explain,
    imports,
    insight,
    interactions,
    items,
    output,
    recommend,
    review,
    vector_spaces,
)
from longtail.client.importing.rows import FileError

REFUSED = 1
USAGE = 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Recommendations that give the long tail its place.",
    epilog="Exit codes: 0 done; 1 the server refused, failed or is away, or something named does "
    "not exist; 2 wrong usage or a file of no use; 3 rows were dropped and --strict was given; "
    "130 interrupted.",
)
app.command()(recommend.recommend)
app.command()(explain.explain)
app.command()(compare.compare)
app.add_typer(imports.app, name="import")
app.add_typer(items.app, name="items")
app.add_typer(interactions.interactions, name="interactions")
app.add_typer(interactions.user, name="user")
app.add_typer(review.app, name="review")
app.add_typer(admin.app, name="admin")
app.add_typer(vector_spaces.app, name="vector-spaces")
app.command()(catalogue.stats)
app.command()(insight.exposure)
app.command()(catalogue.info)


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter still shows the others.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FileError as error:
        _fail(str(error), USAGE)
    except (OSError, AddressError) as error:
        _fail(str(error), USAGE)
    except LongtailError as error:
        _fail(_sentence(error), REFUSED)


def _sentence(error: LongtailError) -> str:
    if error.violations:
        return "; ".join(f"{wrong.field}: {wrong.description}" for wrong in error.violations)
    if error.code is grpc.StatusCode.UNAVAILABLE and not error.reason:
        # No answer of the server's own: nothing listens there, or not any more.
        return (
            f"no server answers: {error.message}. Start one with longtail-server, or say where it "
            f"is with --address or {ADDRESS_VARIABLE}"
        )
    if error.code is grpc.StatusCode.UNIMPLEMENTED and not error.reason:
        return f"what answers is no Longtail server, or an older one: {error.message}"
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        return f"the server needs a key that it knows: set {KEY_VARIABLE}"
    return str(error)


def _fail(message: str, code: int) -> None:
    output.complain(message)
    sys.exit(code)


if __name__ == "__main__":
    main()
