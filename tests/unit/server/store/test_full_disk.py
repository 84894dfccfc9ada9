import subprocess
import sys
import textwrap
from concurrent.futures import Future
from pathlib import Path

import pytest
from longtail.runtime.errors import StorageFull
from longtail.server.store.record_store import check_database

from tests.unit.server.store_records import event, new_item, opened

ROOT = Path(__file__).parents[4]


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def test_reads_go_on_while_the_disk_is_full_and_writes_after(small_disk: Path) -> None:
    path = small_disk / "longtail.db"
    with opened(path) as it:
        it.upsert(new_item("before"))
        it.interact(event("before"))
        revision = it.revision
        ballast = fill(small_disk)
        many = [new_item(f"item-{number}", "x" * 500) for number in range(500)]
        for _ in range(3):
            with pytest.raises(StorageFull, match="disk is full"):
                it.upsert(new_item("before", "replaced"), *many)
        with pytest.raises(StorageFull):
            it.interact(*(event(f"{number:0>200}") for number in range(2000)))
        assert it.store.items.get(["before"])["before"].content.title == "A title"
        assert it.present() == ["before"]
        assert it.revision == revision

        ballast.unlink()
        assert it.upsert(*many) == revision + len(many)
        assert it.interact(event("after"))[0] == 1
    assert check_database(path) == []


def test_a_disk_that_fills_up_within_a_group_keeps_what_it_acknowledged(small_disk: Path) -> None:
    path = small_disk / "longtail.db"
    acknowledged = []
    refused = 0
    with opened(path) as it:

        def upsert(name: str) -> Future[tuple[int, int]]:
            written = [new_item(name, "x" * 1000)]
            return it.writer.submit(lambda tx: it.store.items.upsert(tx, written, it.encoder_id))

        for batch in range(60):
            futures = {name: upsert(name) for name in (f"{batch}-{n}" for n in range(50))}
            for name, future in futures.items():
                error = future.exception(timeout=60)
                if error is None:
                    acknowledged.append(name)
                else:
                    assert isinstance(error, StorageFull)
                    refused += 1
        assert sorted(it.present()) == sorted(acknowledged)
    assert refused
    assert acknowledged
    assert check_database(path) == []


def test_a_backup_that_does_not_fit_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "longtail.db") as it:
        it.upsert(*(new_item(f"item-{number}", "x" * 1000) for number in range(3000)))
        with pytest.raises(StorageFull):
            it.store.backup(small_disk / "copy.db", lambda done, total: None)
        assert list(small_disk.iterdir()) == []


def test_a_limit_of_the_file_size_is_a_full_disk(tmp_path: Path) -> None:
    # The limit is for a whole process, and this one must go on.
    script = """
        import resource, sys
        from pathlib import Path
        from longtail.runtime.errors import StorageFull
        from tests.unit.server.store_records import new_item, opened
        path = Path(sys.argv[1])
        with opened(path) as it:
            it.upsert(new_item("before"))
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            largest = max(file.stat().st_size for file in path.parent.iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
            try:
                it.upsert(*(new_item(f"item-{n}", "x" * 1000) for n in range(1000)))
            except StorageFull:
                refused = True
            assert refused and it.present() == ["before"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            it.upsert(new_item("after"))
            assert it.present() == ["before", "after"]
    """
    code = textwrap.dedent(script)
    command = [sys.executable, "-c", code, str(tmp_path / "data" / "longtail.db")]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}:{ROOT / 'client'}"}
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
