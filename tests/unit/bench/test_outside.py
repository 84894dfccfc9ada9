import sys

import pytest

from bench import outside
from bench.figures import NotRun


@pytest.mark.parametrize("name", ["infinity", "sentence-transformers"])
def test_every_version_of_an_environment_is_pinned(name: str) -> None:
    lines = (outside.FOREIGN / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#") and "==" not in line] == []


def test_a_command_that_fails_says_why_with_its_last_line() -> None:
    fail = "import sys; sys.exit('first\\nno such version')"
    with pytest.raises(NotRun, match="failed: no such version"):
        outside.run([sys.executable, "-c", fail], outside.their_environment())


def test_their_programs_report_nothing_and_see_none_of_our_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "ours")
    variables = outside.their_environment()
    assert variables["DO_NOT_TRACK"] == "1"
    assert "PYTHONPATH" not in variables
