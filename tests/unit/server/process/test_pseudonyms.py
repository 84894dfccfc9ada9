"""Pseudonyms: the same of one id and key, of use to nobody without the key, and stable."""

from pathlib import Path

import pytest
from longtail.server.process.pseudonyms import (
    LENGTH,
    PseudonymKeyError,
    Pseudonyms,
    read_pseudonyms,
)

KEY, OTHER = b"k" * 32, b"l" * 32


def test_a_pseudonym_is_of_one_id_and_one_key() -> None:
    ids = ["ann", "bob", "a" * 256, "übung", "0" * LENGTH, "-" * LENGTH, " " * LENGTH]
    made = [Pseudonyms(KEY)(each) for each in ids]
    assert [Pseudonyms(KEY)(each) for each in ids] == made
    assert {len(each) for each in made} == {LENGTH}
    assert len({*made, *map(Pseudonyms(OTHER), ids)}) == 2 * len(ids)


def test_a_pseudonym_stays_what_it_is_and_one_of_another_key_is_an_id() -> None:
    ours, theirs = Pseudonyms(KEY), Pseudonyms(OTHER)
    assert ours(ours("ann")) == ours("ann")
    assert theirs(ours("ann")) != ours("ann")
    changed = "A" if ours("ann")[0] != "A" else "B"
    forged = changed + ours("ann")[1:]
    assert ours(forged) != forged


def test_without_a_key_ids_stay_and_nobody_known_stays_nobody() -> None:
    assert Pseudonyms()("ann") == "ann"
    assert Pseudonyms().mark == b""
    assert Pseudonyms(KEY)("") == ""
    assert Pseudonyms(KEY).mark != Pseudonyms(OTHER).mark


def test_a_key_of_no_use_says_why(tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "key"
    with pytest.raises(PseudonymKeyError, match="cannot be read"):
        read_pseudonyms(path, data)
    path.write_bytes(b"short\n")
    path.chmod(0o600)
    with pytest.raises(PseudonymKeyError, match="has 5 bytes, and takes 32"):
        read_pseudonyms(path, data)
    path.write_bytes(KEY + b"\n")
    assert read_pseudonyms(path, data).mark == Pseudonyms(KEY).mark
    path.chmod(0o604)
    with pytest.raises(PseudonymKeyError, match="others can read"):
        read_pseudonyms(path, data)
    data.mkdir()
    inside = path.rename(data / "key")
    inside.chmod(0o600)
    with pytest.raises(PseudonymKeyError, match="beside the store"):
        read_pseudonyms(inside, data)
