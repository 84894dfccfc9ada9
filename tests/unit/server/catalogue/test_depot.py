"""The depot: a server that joins starts from what another built, and never from half of it."""

import asyncio
import logging
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from longtail.server.app import StartError, _depot
from longtail.server.catalogue.index.depot import Depot, DepotClosed
from longtail.server.catalogue.index.generation import MANIFEST_FILE
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.upkeep import depot_keeping
from longtail.server.upkeep.depot_keeping import keep_depot

from tests.unit.server.catalogues import (
    SETTINGS,
    Written,
    contents,
    indexer_of,
    item,
    nearest,
    pictured,
    view_of,
)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


@pytest.fixture
def url(there: Path) -> str:
    return f"file://{there}"


def fill(written: Written, *numbers: int) -> None:
    written.upsert(*(item(f"i{number:03}", number) for number in range(*numbers)))


def merge(written: Written, view: CatalogueReplica, folder: Path) -> None:
    view.follow()
    indexer_of(written, view, folder).rebuild(view.state.encoder, lambda _done, _total: None)


def built(written: Written, folder: Path, *numbers: int) -> CatalogueReplica:
    """Write items, and return a view of them with a graph of them all."""
    fill(written, *numbers)
    view = view_of(written, folder)
    merge(written, view, folder)
    return view


def keep(depot: Depot, view: CatalogueReplica) -> None:
    depot.keep(view.targets(), view.revision)


def joining(written: Written, url: str, folder: Path) -> CatalogueReplica:
    return CatalogueReplica(
        written.store, written.encoder, SETTINGS, folder / "index", None, Depot(url)
    )


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_who_joins_starts_from_what_another_built(
    written: Written, tmp_path: Path, url: str, kind: str
) -> None:
    url = url if kind == "file" else f"memory://{uuid.uuid4().hex}"
    view = built(written, tmp_path / "one", 200)
    keep(Depot(url), view)
    fill(written, 195, 210)
    found = joining(written, url, tmp_path / "two")
    view.follow()
    assert (found.state.index.graph_rows, found.delta_count) == (200, 15)
    assert contents(found) == contents(view)
    assert nearest(found, 7) == nearest(view, 7)
    # What it builds next is built on it.
    merge(written, found, tmp_path / "two")
    assert contents(found) == contents(view)


def test_who_has_an_index_goes_on_with_it(written: Written, tmp_path: Path, url: str) -> None:
    built(written, tmp_path / "one", 100)
    keep(Depot(url), built(written, tmp_path / "two", 100, 140))
    found = joining(written, url, tmp_path / "one")
    assert (found.state.index.graph_rows, found.live_count) == (100, 140)


def test_spaces_are_there_too(written: Written, tmp_path: Path, url: str) -> None:
    space = written.declare("images", 8)
    written.upsert(*(pictured(f"p{number}", space, number) for number in range(120)))
    view = view_of(written, tmp_path / "one")
    merge(written, view, tmp_path / "one")
    keep(Depot(url), view)
    found = joining(written, url, tmp_path / "two")
    assert found.state.spaces["images"].index.graph_rows == 120


def test_two_are_kept_of_each_and_none_of_what_is_retired(
    written: Written, tmp_path: Path, there: Path, url: str
) -> None:
    depot = Depot(url)
    for past in (100, 200, 300):
        keep(depot, built(written, tmp_path, past - 100, past))
    [folder] = there.iterdir()
    revisions = [int(path.name.partition("-")[0]) for path in sorted(folder.iterdir())]
    assert revisions == [200, 300]
    for name in ("encoder-9", "space-9", "somebody-elses"):
        (there / name / "x").mkdir(parents=True)
    keep(depot, built(written, tmp_path, 300, 400))
    assert sorted(path.name for path in there.iterdir()) == [folder.name, "somebody-elses"]


def test_the_vectors_of_a_later_generation_are_not_taken_along(
    written: Written, tmp_path: Path, there: Path, url: str
) -> None:
    view = built(written, tmp_path, 100)
    [vectors] = (tmp_path / "index").glob("*/*.f32")
    with vectors.open("ab") as later:
        later.write(b"later")
    keep(Depot(url), view)
    [copy] = there.glob(f"*/*/{vectors.name}")
    assert copy.read_bytes() == vectors.read_bytes()[: -len(b"later")]


def test_what_is_as_new_is_not_put_there_again(
    written: Written, tmp_path: Path, there: Path, url: str
) -> None:
    view = built(written, tmp_path, 100)
    keep(Depot(url), view)
    [manifest] = there.rglob(MANIFEST_FILE)
    manifest.touch(0o600)
    before = {path: path.stat().st_mtime_ns for path in there.rglob("*")}
    # Another that maintains the store now.
    keep(Depot(url), view)
    assert {path: path.stat().st_mtime_ns for path in there.rglob("*")} == before


def unfinished(entry: Path) -> None:
    (entry / MANIFEST_FILE).unlink()


def cut(entry: Path) -> None:
    for file in entry.iterdir():
        if file.name != MANIFEST_FILE:
            file.write_bytes(file.read_bytes()[:-1])


def without_vectors(entry: Path) -> None:
    next(entry.glob("*.f32")).unlink()


def of_another_kind(entry: Path) -> None:
    entry.rename(entry.with_name(entry.name.partition("-")[0] + "-0123456789abcdef"))


@pytest.mark.parametrize("harm", [unfinished, cut, without_vectors, of_another_kind])
def test_what_is_not_whole_is_not_used(
    written: Written, tmp_path: Path, there: Path, url: str, harm: Callable[[Path], None]
) -> None:
    keep(Depot(url), built(written, tmp_path / "one", 100))
    [entry] = there.glob("*/*")
    harm(entry)
    found = joining(written, url, tmp_path / "two")
    assert (found.state.index.graph_rows, found.live_count) == (0, 100)
    assert not list((tmp_path / "two").rglob("unfinished-*"))
    merge(written, found, tmp_path / "two")
    assert found.state.index.graph_rows == 100


def test_what_is_ahead_of_the_store_is_not_used_and_goes(
    written: Written, tmp_path: Path, there: Path, url: str
) -> None:
    view = built(written, tmp_path, 100)
    depot = Depot(url)
    [target] = view.targets()
    keep(depot, view)
    assert not depot.fetch(target, view.revision - 1)
    assert depot.fetch(target, view.revision)
    # The store was put back to an older state.
    Depot(url).keep(view.targets(), view.revision - 1)
    [entry] = there.glob("*/*")
    assert depot.fetch(target, view.revision), entry


def test_a_depot_that_fails_costs_a_build_and_nothing_else(
    written: Written, tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(written, 100)
    (tmp_path / "there").write_text("not a folder")
    found = joining(written, url, tmp_path / "two")
    assert (found.state.index.graph_rows, found.live_count) == (0, 100)
    assert any(record.levelno == logging.WARNING for record in caplog.records)


def test_who_ends_breaks_off_what_it_puts_there(written: Written, tmp_path: Path, url: str) -> None:
    depot = Depot(url)
    view = built(written, tmp_path / "one", 100)
    depot.close()
    with pytest.raises(DepotClosed):
        keep(depot, view)
    assert joining(written, url, tmp_path / "two").state.index.graph_rows == 0


async def test_who_maintains_the_store_keeps_the_depot(
    written: Written, tmp_path: Path, there: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depot_keeping, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(depot_keeping, "RETRY_SECONDS", 0.01)
    view, office, told = built(written, tmp_path, 100), Office(), asyncio.Queue[bool]()
    depot = Depot(url)
    part = Part("depot", told.put_nowait)
    there.write_text("not a folder")
    keeping = asyncio.create_task(keep_depot(depot, view, office, part))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(told.get(), 0.05)
    office.set(True)
    async with asyncio.timeout(20):
        assert not await told.get()
        there.unlink()
        assert await told.get()
    assert len(list(there.rglob(MANIFEST_FILE))) == 1
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    # Nothing of it goes on beside the end of the process.
    fill(written, 100, 110)
    merge(written, view, tmp_path)
    with pytest.raises(DepotClosed):
        keep(depot, view)


@pytest.mark.parametrize("url", ["nothing-we-know://x", "s3://bucket/x"])
def test_a_depot_that_cannot_be_is_told_at_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StartError, match=r"LONGTAIL_INDEX_DEPOT: .*storage"):
        _depot(url)
