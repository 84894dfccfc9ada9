import os

import pytest

from evaluation.forked import each
from tests.unit.evaluation.invented_data import untold


def test_parts_run_elsewhere_and_come_back_in_their_order() -> None:
    told = []
    held = object()
    parts = [lambda at=at: (at, os.getpid(), held is not None) for at in range(5)]
    found = each(parts, lambda done, total: told.append((done, total)))
    assert [at for at, *_ in found] == [0, 1, 2, 3, 4]
    assert os.getpid() not in {process for _, process, _ in found}
    assert told == [(done, 5) for done in range(1, 6)]


def test_what_fails_in_a_part_is_raised() -> None:
    def fails() -> None:
        raise ValueError("of no use")

    with pytest.raises(ValueError, match="of no use"):
        each([fails], untold)
