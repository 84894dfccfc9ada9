"""Hostile requests at full length."""

from pathlib import Path

import pytest

from tests.faults.extent import extent
from tests.faults.tally import Tally
from tests.hail import check_hail

pytestmark = pytest.mark.model


def test_hostile_requests(artefact: Path, tmp_path: Path, tally: Tally) -> None:
    for code, count in check_hail(artefact, tmp_path, extent(1_000, 50_000)).items():
        tally.count(code, count)
