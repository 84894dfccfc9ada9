"""Arrays in a file that is mapped: they come back, can be changed, and the file stays as it is."""

from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.array_file import below, named_below, read_arrays, write_arrays
from longtail.server.process.durable import sha256_of

ARRAYS = {
    "whole": np.arange(1000),
    "none": np.empty(0, np.float64),
    "odd/é": np.array([True, False, True]),
    "wide": np.full(7, -np.inf),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "arrays", ((name, [array]) for name, array in ARRAYS.items()))
    return tmp_path / "arrays"


def test_arrays_come_back_as_they_were(file: Path) -> None:
    found = read_arrays(file)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].values.dtype == array.dtype
        assert found[name].values.tolist() == array.tolist()


def test_an_array_is_written_in_parts(tmp_path: Path) -> None:
    parts = [np.arange(3), np.empty(0, np.int64), np.arange(3, 9)]
    write_arrays(tmp_path / "arrays", below("a/", [("b", parts), ("c", [np.zeros(1)])]))
    found = named_below("a/", read_arrays(tmp_path / "arrays"))
    assert found["b"].values.tolist() == list(range(9))
    assert found["c"].values.tolist() == [0]


def test_what_is_changed_and_appended_stays_in_memory(file: Path) -> None:
    digest, first, second = sha256_of(file), read_arrays(file), read_arrays(file)
    whole = first["whole"].values
    first["whole"].values[:] = 7
    # Into the room behind it, and beyond.
    first["whole"].append([8] * 10)
    assert np.shares_memory(whole, first["whole"].values)
    first["whole"].append([9] * 10_000)
    assert first["whole"].values[999:1011].tolist() == [7, *[8] * 10, 9]
    first["none"].append([0.5])
    assert second["whole"].values.tolist() == list(range(1000))
    assert second["odd/é"].values.tolist() == [True, False, True]
    assert sha256_of(file) == digest


def test_a_file_that_is_removed_stays_readable_to_who_has_mapped_it(file: Path) -> None:
    found = read_arrays(file)
    file.unlink()
    assert found["whole"].values.sum() == 499_500
