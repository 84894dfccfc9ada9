"""`python -m demo [films|dishes]`: a worker, a server and a catalogue, until Ctrl-C."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from longtail.export.wheel_asset import AssetError, fetch
from longtail.runtime.listening import CannotListen
from longtail.runtime.settings import SettingsError
from rich.console import Console

from demo import loading, stack
from demo.addresses import Addresses, free_addresses
from demo.assets import home
from demo.catalogues import CATALOGUES, Catalogue
from demo.movielens import FormatError
from demo.terminal import own_foreground_group

INTERRUPTED = 130
FAILURES = (
    SettingsError,
    CannotListen,
    AssetError,
    FormatError,
    loading.LoadError,
    stack.StackError,
)

READY = """
Longtail is ready after {seconds:.1f} s: {holds}.
  server   {server}   metrics http://{server_metrics}/metrics
  worker   {worker}   metrics http://{worker_metrics}/metrics
Try, in another terminal:
  {variable}.venv/bin/longtail recommend "{query}"
Ctrl-C stops both.
"""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("catalogue", choices=CATALOGUES, nargs="?", default="films")
    catalogue = CATALOGUES[parser.parse_args().catalogue]
    console = Console()
    try:
        addresses = free_addresses()
        dataset = fetch(catalogue.asset, home() / "cache")
        with own_foreground_group():
            asyncio.run(serve(addresses, catalogue, dataset, console))
    except KeyboardInterrupt:
        return INTERRUPTED
    except FAILURES as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def serve(
    addresses: Addresses, catalogue: Catalogue, dataset: Path, console: Console
) -> None:
    """Run worker and server until a signal; see that `catalogue`, in `dataset`, is in them."""
    started = time.monotonic()
    server, worker = str(addresses.server), str(addresses.worker)

    def write(line: str) -> None:
        console.out(line, highlight=False)

    async def when_serving() -> None:
        marker = home() / "data" / f"{catalogue.asset.name}.loaded"
        stats = await loading.load(server, catalogue, dataset, marker, console)
        text = READY.format(
            seconds=time.monotonic() - started,
            holds=f"{stats.item_count} {catalogue.items}, "
            f"{stats.interaction_count} {catalogue.interactions}",
            query=catalogue.query,
            server=server,
            server_metrics=addresses.server_metrics,
            worker=worker,
            variable=""
            if addresses.server == Addresses().server
            else f"{addresses.server.variable}={server} ",
            worker_metrics=addresses.worker_metrics,
        )
        write(text)

    programs = [
        stack.Program("worker", (sys.executable, "-m", "longtail.worker"), worker),
        stack.Program("server", (sys.executable, "-m", "longtail.server"), server),
    ]
    await stack.run(programs, when_serving, write=write, limits=stack.Limits())
    write("Stopped.")


if __name__ == "__main__":
    sys.exit(main())
