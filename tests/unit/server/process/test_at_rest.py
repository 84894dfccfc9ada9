from pathlib import Path

import pytest
from longtail.server.process.at_rest import SUFFIX, changed, forget, note

CONTENT, VERSION = b"what is kept", "this 1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kept.db"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_what_was_noted_until_one_bit_of_it_is_another(file: Path) -> None:
    note(file, VERSION)
    assert changed(file, VERSION) is None
    for bit in range(8 * len(CONTENT)):
        flipped = bytearray(CONTENT)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert f"{file} is not as it was left" in str(changed(file, VERSION))
    file.write_bytes(CONTENT)
    assert changed(file, VERSION) is None


def test_nothing_is_said_of_a_file_without_a_note(file: Path) -> None:
    assert changed(file, VERSION) is None
    note(file, VERSION)
    forget(file)
    file.write_bytes(b"what is written")
    assert changed(file, VERSION) is None
    forget(file)
    assert list(file.parent.iterdir()) == [file]


def test_what_was_found_changed_is_not_noted_anew(file: Path) -> None:
    note(file, VERSION)
    file.write_bytes(b"what a disk made of it")
    note(file, VERSION)
    assert changed(file, VERSION) is not None


def test_another_version_was_put_there_by_hand(file: Path) -> None:
    note(file, VERSION)
    file.write_bytes(b"what was kept earlier")
    assert changed(file, VERSION) is not None
    assert changed(file, "this 0") is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"null", b"[]", b"{}", b'{"version": "this 1"}']
)
def test_a_note_that_cannot_be_read_is_none(file: Path, content: bytes) -> None:
    file.with_name(file.name + SUFFIX).write_bytes(content)
    assert changed(file, VERSION) is None
