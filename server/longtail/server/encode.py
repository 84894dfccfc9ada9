"""`longtail-encode`: share in a change of encoder of a store on PostgreSQL, and do nothing else.

It has no catalogue in memory and listens nowhere: it stands beside a worker, on a machine with a
GPU say, which only has to reach the database.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence

from longtail.runtime.command_line import Parser, add_flags, find_with_flags, write_settings
from longtail.runtime.errors import ServiceError
from longtail.runtime.logs import configure_logging
from longtail.runtime.settings import SettingsError, read
from longtail.server.app import StartError, followed, open_store
from longtail.server.encoder.encoder import Encoder
from longtail.server.encoder.worker import Security
from longtail.server.operations.lease_holder import LeaseHolder
from longtail.server.process.part import Part
from longtail.server.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Share in what there is to encode until told to stop; return the exit code."""
    parser = Parser("longtail-encode", "Share in the changes of encoder of a store on PostgreSQL.")
    add_flags(parser, Settings)
    options = parser.parse_args(arguments)
    try:
        given = find_with_flags(options)
        settings = read(Settings, given)
        if options.check:
            write_settings(settings, given)
            return 0
        if not settings.store:
            raise SettingsError(
                "LONGTAIL_STORE is not set: a store in a file is that of the server beside it, "
                "which encodes with all workers that LONGTAIL_WORKER_ADDRESS names"
            )
        configure_logging(settings.log_level, settings.log_format)
        asyncio.run(_until_stopped(settings))
    except SettingsError as error:
        sys.stderr.write(f"encode: {error}\n")
        return 2
    except (StartError, ServiceError) as error:
        sys.stderr.write(f"encode: {error}\n")
        return 1
    return 0


async def encode(settings: Settings) -> None:
    """Share in what there is to encode, with the workers of the settings, until cancelled.

    Raises StartError and Unavailable.
    """
    tls = followed(settings.worker_tls)
    security = None if tls is None else Security(tls, settings.worker_name)
    store = await asyncio.to_thread(open_store, settings, check=False)
    try:
        async with Encoder(settings.worker_address, security=security) as encoder:
            with store.group_commit(lambda: None, settings.max_waiting_writes) as commit:
                await LeaseHolder(store, commit, encoder).run(Part("encoding"))
    finally:
        store.close()


async def _until_stopped(settings: Settings) -> None:
    encoding = asyncio.create_task(encode(settings))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, encoding.cancel)
    try:
        await encoding
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    sys.exit(main())
