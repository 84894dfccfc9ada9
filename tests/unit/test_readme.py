"""The README's table of settings is that of the code, and what it names exists."""

import re
from pathlib import Path

from longtail.runtime.settings import describe
from longtail.server.settings import Settings as ServerSettings
from longtail.worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    for variable, default, text in [*describe(ServerSettings), *describe(WorkerSettings)]:
        row = next(line for line in README.splitlines() if line.startswith(f"| `{variable}` |"))
        assert f"| `{default}` |" in row
        if variable != "LONGTAIL_WORKER_ADDRESS":  # Read by both, each in its own words.
            assert text in row or "both" in row


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
