"""`python -m longtail.client.probe [ADDRESS]`: exit with 0 where a server or a worker serves.

It is what a container is asked for its health, so it needs nothing beyond the client.
"""

import sys
from collections.abc import Sequence

from longtail.client.calls.sync import LongtailClient

SECONDS = 3.0


def main(arguments: Sequence[str]) -> int:
    """Ask the server at an address, by default that of the environment; return the exit code."""
    try:
        with LongtailClient(*arguments[:1]) as client:
            client.wait_until_serving(timeout=SECONDS)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
