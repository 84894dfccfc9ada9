"""`python -m bench PART`: measure the worker, the index, the ranking or a request; or `--help`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

# Each with what it imports: one can do without what the other needs.
_BENCHES = {
    "worker": "bench.worker",
    "index": "bench.index.command",
    "request": "bench.request.command",
    "ranking": "bench.ranking.command",
}


def main() -> int:
    """Run the bench that is named; return its exit code."""
    name, *rest = sys.argv[1:] or [""]
    if name not in _BENCHES:
        sys.stderr.write(f"usage: python -m bench {{{','.join(_BENCHES)}}} [OPTION]...\n")
        return 2
    run: Callable[[Sequence[str]], int] = import_module(_BENCHES[name]).main
    return run(rest)


if __name__ == "__main__":
    sys.exit(main())
