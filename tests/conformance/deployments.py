"""All combinations' servers of a session, each started when it is first asked for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import Self

import pytest

from tests import milvus
from tests.conformance.combinations import MEMORY, Combination
from tests.conformance.deployment import Deployment, Server
from tests.faults.extent import FULL, extent
from tests.postgresql import PostgreSQL

# Small, so that there is a graph at all beside what is scanned.
SETTINGS = {
    "LONGTAIL_INDEX_MERGE_ROWS": "64",
    "LONGTAIL_INDEX_EF_SEARCH": "100",
    "LONGTAIL_CANDIDATES": "100",
}


class Deployments:
    """Starts servers, and keeps them until its block ends."""

    def __init__(self, session: pytest.FixtureRequest) -> None:
        self._session = session
        self._stack, self._shared = ExitStack(), ExitStack()
        self._running: dict[Combination, Deployment] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shared.close()
        self._stack.close()

    def of(self, combination: Combination) -> Deployment:
        """Return the servers of a combination, which tests share."""
        if combination not in self._running:
            if FULL:
                # What is measured is to have the machine for itself.
                self._shared.close()
                self._running.clear()
            worker_address = self._session.getfixturevalue("worker_address")
            self._running[combination] = self._shared.enter_context(
                self.fresh(combination, worker_address)
            )
        return self._running[combination]

    @contextmanager
    def fresh(
        self, combination: Combination, worker_address: str, **variables: str
    ) -> Iterator[Deployment]:
        """Run servers of a combination on a store of their own until the block ends."""
        home = self._session.getfixturevalue("tmp_path_factory").mktemp(combination.name)
        common = {"LONGTAIL_SNAPSHOT_FOLDER": str(home / "snapshots")}
        own = {**SETTINGS, **self._variables(combination), **common, **variables}
        if combination.engine != MEMORY:
            # What one of them builds all search.
            own["LONGTAIL_INDEX"] = str(home / "index")
        with ExitStack() as stack:
            first, *others = (
                stack.enter_context(Server(home / f"server-{number}", worker_address, own))
                for number in range(_count(combination))
            )
            yield Deployment(combination, first, tuple(others))

    def _variables(self, combination: Combination) -> dict[str, str]:
        variables = {}
        if combination.is_shared:
            postgresql: PostgreSQL = self._session.getfixturevalue("postgresql")
            variables["LONGTAIL_STORE"] = postgresql.new_database()
        if combination.engine == "milvus":
            variables["LONGTAIL_INDEX_ENGINE"] = self._milvus.uri
        elif combination.engine == "pgvector":
            variables["LONGTAIL_INDEX_ENGINE"] = variables["LONGTAIL_STORE"]
        return variables

    @cached_property
    def _milvus(self) -> milvus.Milvus:
        return self._stack.enter_context(milvus.running())


def _count(combination: Combination) -> int:
    if not combination.is_shared:
        return 1
    return 2 if combination.engine == MEMORY else extent(1, 2)
