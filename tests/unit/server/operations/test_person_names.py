"""A store goes by ids or by pseudonyms of one key, and says so when it is asked for another."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from longtail.runtime.settings import SettingsError
from longtail.server.operations.person_names import keep_names
from longtail.server.operations.snapshots import Snapshots
from longtail.server.process.pseudonyms import Pseudonyms

from tests.unit.server.catalogues import Written, interaction, opened

PLAIN, KEYED, OTHER = Pseudonyms(), Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    with opened(tmp_path) as found:
        yield found


def test_a_store_keeps_what_its_persons_go_by(written: Written, tmp_path: Path) -> None:
    keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), PLAIN)
    for _ in range(2):
        keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), KEYED)
    written.interact(interaction("1", "film", KEYED("ann")))
    keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), KEYED)
    with pytest.raises(SettingsError, match="not the key"):
        keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), OTHER)
    with pytest.raises(SettingsError, match="set the file of their key"):
        keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), PLAIN)


def test_a_store_with_ids_keeps_them(written: Written, tmp_path: Path) -> None:
    written.interact(interaction("1", "film"))
    with pytest.raises(SettingsError, match="begin with an empty one"):
        keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), KEYED)
    keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), PLAIN)


def test_a_copy_with_ids_is_in_the_way_too(written: Written, tmp_path: Path) -> None:
    written.interact(interaction("1", "film"))
    snapshots = Snapshots(tmp_path / "snapshots")
    made = snapshots.create(written.store, lambda _done, _total: None)
    written.write(lambda tx: written.store.forget(tx, "ann"))
    with pytest.raises(SettingsError, match="a copy of it"):
        keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), KEYED)
    snapshots.delete(made.id)
    keep_names(written.store, tmp_path, Snapshots(tmp_path / "snapshots"), KEYED)
