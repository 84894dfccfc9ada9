"""The names of variables that are ours are those that are read, and secrets are known as such."""

import dataclasses
import re

import pytest
from longtail.client import Access
from longtail.runtime import setting_names
from longtail.server.settings import Settings as ServerSettings
from longtail.worker.settings import WorkerSettings

from tests.processes import ROOT

DECLARED = [
    declared
    for settings in (ServerSettings, WorkerSettings)
    for declared in dataclasses.fields(settings)
]
CODE = ("client", "tests", "bench", "evaluation", "loadtest", "demo")


def test_every_setting_is_known_and_nothing_else() -> None:
    assert {declared.metadata["variable"] for declared in DECLARED} == setting_names.SETTINGS


def test_every_other_variable_is_read_somewhere() -> None:
    source = "".join(path.read_text() for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    quoted = set(re.findall(r'"(LONGTAIL_\w+)"', source))
    assert quoted >= setting_names.OTHERS
    assert not setting_names.OTHERS & setting_names.SETTINGS


def test_what_the_client_reads_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Environment(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            asked.append(name)
            return default

    monkeypatch.setattr("os.environ", Environment())
    Access.from_environment()
    assert len(asked) > 3
    assert set(asked) <= setting_names.OTHERS


def test_what_sounds_like_a_secret_is_one_or_names_a_file() -> None:
    for declared in DECLARED:
        variable, text = declared.metadata["variable"], declared.metadata["help"]
        if re.search(r"KEY|SECRET|PASSWORD|TOKEN(?!S)|HEADERS|URL", variable):
            assert declared.metadata["secret"] or re.match(r"(PEM f|F)ile of", text), variable
