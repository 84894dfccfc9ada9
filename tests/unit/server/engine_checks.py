"""What holds of every engine that keeps graphs: the same checks for each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index.build import Stopped, build
from longtail.server.catalogue.index.engines.backend import Backend, CollectionLost, EngineError
from longtail.server.catalogue.index.engines.engine import COLLECTION, Engine, EngineGraphs
from longtail.server.catalogue.index.generation import (
    Generation,
    Target,
    latest_generation,
    prune,
)
from longtail.server.catalogue.index.vector_index import VectorIndex

from tests.unit.server.index_material import (
    PARAMETERS,
    Seen,
    everything,
    ignore,
    index_of,
    source,
    vectors,
)


@contextmanager
def folders(backend: Backend, folder: Path) -> Iterator[tuple[Engine, Target]]:
    """Give an engine over `backend`, and where its generations go in `folder`."""
    engine = Engine(backend)
    engine.check()
    try:
        yield engine, target(engine, folder)
    finally:
        engine.close()


def target(engine: Engine, folder: Path, kind: str = "encoder-1") -> Target:
    folder.mkdir(parents=True, exist_ok=True)
    return Target(folder / kind, "a", PARAMETERS, EngineGraphs(engine, folder))


def read(target: Target) -> Generation:
    found = latest_generation(target, revision=10**6)
    assert found is not None
    return found


def collection(generation: Generation) -> str:
    return str(generation.manifest[COLLECTION])


def check_answers_are_those_of_memory(backend: Backend, folder: Path) -> None:
    """Copies, a row without a vector, a filter, a delta, ties: as over hnswlib, to the bit."""
    rows = vectors(1600)
    rows[700] = rows[40]
    rows[701] = 0
    with folders(backend, folder / "engine") as (_, there):
        of_engine = VectorIndex.of(build(there, source(rows[:1500]), None, ignore))
        in_memory = index_of(folder / "memory", rows[:1500])
        rare = np.zeros(1600, np.bool_)
        rare[::2] = True
        for index in (of_engine, in_memory):
            index.append(rows[1500:])
        assert of_engine.nbytes < in_memory.nbytes
        for scope in (everything(1600), Seen(rare), everything(1550)):
            queries = np.concatenate((vectors(10, seed=2), rows[[40, 700, 1550]]))
            for once in (False, True):
                pairs = zip(
                    of_engine.search_each(queries, 20, scope, once=once),
                    in_memory.search_each(queries, 20, scope, once=once),
                    strict=True,
                )
                for (found, cosines), (expected, theirs) in pairs:
                    assert len(found) == 20
                    assert len(np.intersect1d(found, expected)) >= 19
                    if found.tolist() == expected.tolist():
                        np.testing.assert_allclose(cosines, theirs, atol=1e-6)


def check_a_generation_goes_on_with_the_collection_before(backend: Backend, folder: Path) -> None:
    rows = vectors(1100)
    with folders(backend, folder) as (_, there):
        first = build(there, source(rows[:1000]), None, ignore)
        before = VectorIndex.of(first)
        second = build(there, source(rows), read(there), ignore)
        assert collection(second) == collection(first)
        after = VectorIndex.of(read(there))
        for row in (3, 999, 1000, 1099):
            assert after.search(rows[row], 1, everything(1100))[0].tolist() == [row]
        # Whoever has the former one does not see what came after it.
        found, _ = before.search(rows[1050], 50, everything(1000))
        assert found.max() < 1000
        # What was current and is not any more is left where it is.
        revisions = np.arange(1, 1101)[300:]
        third = build(there, source(rows[300:], revisions), second, ignore)
        assert not third.table["removed"].any()
        # One that would go on from where another has gone on is built anew.
        fork = build(there, source(vectors(900)), first, ignore)
        assert collection(fork) != collection(first)
        assert VectorIndex.of(fork).search(rows[3], 1, everything(900))[0].tolist() == [3]


def check_what_came_to_nothing_is_dropped(backend: Backend, folder: Path) -> None:
    rows = vectors(600)

    def stop(done: int, _total: int) -> None:
        if done > 300:
            raise Stopped

    with folders(backend, folder) as (engine, there):
        other = target(engine, folder.parent / f"{folder.name}-other")
        theirs = collection(build(other, source(rows[:50]), None, ignore))
        first = build(there, source(rows), None, ignore)
        with pytest.raises(Stopped):
            build(there, source(rows), None, stop)
        for _ in range(2):
            last = build(there, source(rows), None, ignore)
        prune(there.folder)
        there.graphs.prune(folder)
        names = backend.collections("longtail_")
        assert collection(last) in names
        assert collection(first) not in names
        # Those of whoever has generations elsewhere are theirs.
        assert theirs in names
        assert len(names) == 3


def check_a_collection_that_is_lost_is_found_out(backend: Backend, folder: Path) -> None:
    rows = vectors(1000)
    with folders(backend, folder) as (engine, there):
        generation = build(there, source(rows), None, ignore)
        index = VectorIndex.of(generation)
        engine.check()
        assert not index.is_lost
        backend.drop(collection(generation))
        with pytest.raises(CollectionLost):
            backend.search(collection(generation), rows[:1], 1, 1)
        found, _ = index.search(rows[4], 10, everything(1000))
        assert found.tolist() == index.scan(rows[4], 10, everything(1000))[0].tolist()
        assert index.is_lost
        # The engine is well, and this is built anew.
        engine.check()
        again = VectorIndex.of(build(there, source(rows), read(there), ignore))
        engine.check()
        assert not again.is_lost
        assert again.search(rows[4], 1, everything(1000))[0].tolist() == [4]


def check_one_that_is_put_back_is_lost(backend: Backend, folder: Path) -> None:
    """Another content under the name, as when the engine was put back to an older state."""
    rows = vectors(300)
    with folders(backend, folder) as (engine, there):
        generation = build(there, source(rows), None, ignore)
        name = collection(generation)
        backend.create(name, PARAMETERS)
        backend.append(name, np.arange(200), np.arange(1, 201), rows[:200])
        backend.finish(name, PARAMETERS, lambda: None)
        index = VectorIndex.of(read(there))
        engine.check()
        assert index.is_lost


def check_one_that_is_put_back_while_it_is_away_is_lost(backend: Backend, folder: Path) -> None:
    rows = vectors(1000)
    with folders(backend, folder) as (engine, there):
        generation = build(there, source(rows), None, ignore)
        index, name = VectorIndex.of(generation), collection(generation)
        engine.check()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend, "search", _fail)
            index.search(rows[0], 3, everything(1000))
        backend.create(name, PARAMETERS)
        backend.append(name, np.arange(900), np.arange(1, 901), rows[:900])
        backend.finish(name, PARAMETERS, lambda: None)
        engine.check()
        assert index.is_lost


def _fail(*_: object) -> None:
    raise EngineError("away")


CHECKS: list[Callable[[Backend, Path], None]] = [
    check_answers_are_those_of_memory,
    check_a_generation_goes_on_with_the_collection_before,
    check_what_came_to_nothing_is_dropped,
    check_a_collection_that_is_lost_is_found_out,
    check_one_that_is_put_back_is_lost,
    check_one_that_is_put_back_while_it_is_away_is_lost,
]
