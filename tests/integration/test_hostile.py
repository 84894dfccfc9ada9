"""Hostile requests for every method of server and worker, health and reflection included."""

from pathlib import Path

import pytest

from tests.hail import check_hail

pytestmark = pytest.mark.model


def test_hostile_requests_end_in_a_status_that_says_what_is_wrong(
    artefact: Path, tmp_path: Path
) -> None:
    check_hail(artefact, tmp_path, 250)
