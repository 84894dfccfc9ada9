"""A Ray job that shares in a change of encoder: `python examples/encode_on_ray.py --actors 8`.

Each actor is a worker of its own, and takes leases as every server process does: what the cluster
takes away is taken over. The job ends with the change.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from longtail.runtime.command_line import Parser, add_flags, find_with_flags
from longtail.runtime.errors import ServiceError
from longtail.runtime.settings import SettingsError, read
from longtail.server.app import StartError, open_store
from longtail.server.encode import encode
from longtail.server.settings import Settings

_POLL_SECONDS = 2.0
# A worker ends with its actor, however that ends.
_BOUND = ("setpriv", "--pdeathsig", "TERM")


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Encoding:
    """Takes leases with a worker beside it, which has the settings `variables`."""

    def run(self, settings: Settings, variables: Mapping[str, str]) -> None:
        """Encode until the actor is ended."""
        address, metrics = _free_address(), _free_address()
        own = {"LONGTAIL_WORKER_ADDRESS": address, "LONGTAIL_WORKER_METRICS_ADDRESS": metrics}
        worker = subprocess.Popen(  # noqa: S603  # ours
            [*_BOUND, sys.executable, "-m", "longtail.worker"],
            env={**os.environ, **variables, **own},
        )
        try:
            asyncio.run(encode(replace(settings, worker_address=address)))
        finally:
            worker.terminate()


def main(arguments: Sequence[str] | None = None) -> int:
    """Have actors encode until no change is under way; return the exit code."""
    parser = Parser("encode_on_ray.py", "Share in a change of encoder, on Ray.")
    parser.add_argument("--actors", type=int, default=1, help="workers, each in an actor")
    parser.add_argument("--cpus", type=float, default=1, help="of each")
    parser.add_argument("--gpus", type=float, default=0, help="of each")
    add_flags(parser, Settings)
    options = parser.parse_args(arguments)
    try:
        settings = read(Settings, find_with_flags(options))
        if not settings.store:
            raise SettingsError("LONGTAIL_STORE is not set: no other machine reaches a file")
        store = open_store(settings, check=False)
    except (SettingsError, StartError, ServiceError) as error:
        sys.stderr.write(f"encode: {error}\n")
        return 2
    variables = {name: value for name, value in os.environ.items() if name.startswith("LONGTAIL_")}
    try:
        # To the cluster of RAY_ADDRESS, or one of this machine for as long.
        ray.init(include_dashboard=False, log_to_driver=True)
        kind: Any = Encoding
        sized = kind.options(num_cpus=options.cpus, num_gpus=options.gpus)
        actors = [sized.remote() for _ in range(options.actors)]
        running = [actor.run.remote(settings, variables) for actor in actors]
        while store.encoders.next() is not None:
            ended, _ = ray.wait(running, timeout=_POLL_SECONDS)
            # None ends by itself: what it raised is the job's.
            ray.get(ended)
        return 0
    finally:
        store.close()
        ray.shutdown()


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main())
