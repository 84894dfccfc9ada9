import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from longtail.server.ranking.expected_exposure import read_exposure
from longtail.server.ranking.profile import default_profile, read_profile

import evaluation.__main__ as command
from evaluation import experiment as experiments
from evaluation import fit as fits
from evaluation import methods
from evaluation.experiment import Options, Stage
from evaluation.fit import Fit
from evaluation.report.document import part
from evaluation.report.results import Part, Report
from evaluation.splits import SplitMethod
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_report import invented_report


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def started(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["evaluation", *map(str, arguments)])
        code = 0
        try:
            command.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ended(code, *capsys.readouterr())

    return started


def refused(ended: Ended, *words: str) -> None:
    """Check that it says in one line why it ends."""
    [line] = ended.err.splitlines()
    assert ended.code == 2
    for word in words:
        assert word in line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return invented_data.write(invented_data.dataset(), tmp_path / "data")


@pytest.mark.parametrize("verb", [(), ("fit",)], ids=["evaluate", "fit"])
def test_a_folder_that_is_not_there_is_named(run: Run, tmp_path: Path, verb: list[str]) -> None:
    ended = run(*verb, tmp_path / "nowhere", "--out", tmp_path / "out")
    refused(ended, str(tmp_path / "nowhere"), "no such folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", [(), ("fit",)], ids=["evaluate", "fit"])
def test_a_folder_without_data_says_what_is_missing(
    run: Run, tmp_path: Path, verb: list[str]
) -> None:
    refused(run(*verb, tmp_path, "--out", tmp_path / "out"), str(tmp_path), "items.csv")


@pytest.mark.parametrize("verb", [(), ("fit",)], ids=["evaluate", "fit"])
def test_a_column_that_is_missing_is_named(run: Run, folder: Path, verb: list[str]) -> None:
    (folder / "interactions.csv").write_text("user_id,item,rating\nann,i1,5\n")
    refused(run(*verb, folder, "--out", folder / "out"), "interactions.csv", "no column item_id")


def test_a_file_that_is_no_store_is_refused(run: Run, folder: Path) -> None:
    refused(run("fit", folder / "items.csv", "--out", folder / "out"), "items.csv", "no store")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--min-rating", "9"), "no rating of 9"),
        (("--split", "given"), "no column split"),
        (("--valid", "0.5", "--test", "0.5"), "without rows"),
    ],
)
def test_options_that_the_data_do_not_allow_are_explained(
    run: Run, folder: Path, arguments: tuple[str, ...], word: str
) -> None:
    refused(run(folder, "--out", folder / "out", *arguments), word)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LONGTAIL_MODEL", "/no/such/encoder"), ("LONGTAIL_WORKER_SLOTS", "many")],
)
def test_an_encoder_that_cannot_be_used_is_named(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    refused(run(folder, "--out", folder / "out"), value)


@pytest.mark.parametrize(
    "arguments",
    [("--k", "0"), ("--pool", "3"), ("--split", "sideways"), ("--seed", "-1"), ("--out", "FILE")],
)
def test_wrong_usage_is_refused_before_anything_is_read(
    run: Run, folder: Path, arguments: tuple[str, ...]
) -> None:
    file = str(folder / "items.csv")
    ended = run(folder, "--out", folder / "out", *(a.replace("FILE", file) for a in arguments))
    assert ended.code == 2
    assert arguments[0] in ended.err
    assert "Traceback" not in ended.err


def test_options_reach_the_evaluation_and_its_report_the_folder(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def evaluated(data: Path, options: Options, ks: list[int], line: str, stage: Stage) -> Report:
        asked.append((data, options, ks, line))
        with stage("a stage") as tell:
            tell(1, 2)
        return invented_report(1)

    monkeypatch.setattr(command, "evaluate", evaluated)
    out = folder / "new" / "out"
    options = "--split global-time --min-rating 3.5 --k 5 --k 7 --pool 30 --people 40 --seed 9"
    ended = run(folder, "--out", out, *options.split(), "--valid", "0.1", "--test", "0.3", "--fast")
    assert ended.code == 0, ended.err
    [(data, found, ks, line)] = asked
    assert (data, ks) == (folder, [5, 7])
    assert found == Options(SplitMethod.GLOBAL_TIME, 0.1, 0.3, 3.5, 30, 40, 9, fast=True)
    assert line.startswith(f"python -m evaluation {folder} --out")
    assert json.loads((out / "report.json").read_text())["data"]["requests"] == 604
    assert "Longtail" in ended.out
    assert str(out / "index.html") in ended.out


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("base", ("604 asked", "Longtail, fitted", "EASE", "+0.0150", "too large")),
        ("dial", ("Dial of Longtail, fitted", "0.1600", "0.1280")),
        ("queries", ("604 asked", "Dial of Longtail, default profile")),
    ],
)
def test_a_part_can_be_had_alone(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, only: str, words: tuple[str, ...]
) -> None:
    report = invented_report(1)
    assert report.queries is not None
    parts: dict[str, Part] = {
        "base": report.base,
        "dial": report.dials,
        "queries": report.queries,
    }
    found = parts[only]
    asked = []

    def evaluated(data: Path, options: Options, k: int, stage: Stage) -> Part:
        asked.append((data, options.people, k))
        return found

    monkeypatch.setitem(command.PARTS, command.Only(only), evaluated)
    out = folder / "out"
    ended = run(folder, "--only", only, "--people", "40", "--out", out)
    assert ended.code == 0, ended.err
    assert asked == [(folder, 40, 10)]
    assert [each.name for each in out.iterdir()] == [f"{only}.json"]
    assert json.loads((out / f"{only}.json").read_text()) == json.loads(json.dumps(part(found)))
    for word in words:
        assert word in ended.out


def test_lists_of_ten_and_twenty_are_usual(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def evaluated(data: Path, options: Options, ks: list[int], line: str, stage: Stage) -> Report:
        asked.append((options.pool, ks))
        return invented_report()

    monkeypatch.setattr(command, "evaluate", evaluated)
    monkeypatch.setattr(command, "write", lambda report, out: None)
    assert run(folder, "--out", folder / "out").code == 0
    assert asked == [(200, [10, 20])]


def test_a_fit_writes_a_profile_and_the_exposure_beside_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = invented_data.vectors(invented_data.dataset())
    monkeypatch.setattr(experiments, "item_vectors", lambda *_: made)
    monkeypatch.setattr(methods, "DIAL_REQUESTS", 4)
    monkeypatch.setattr(fits, "QUERIES", 4)
    out = folder / "new" / "profile.json"
    ended = run("fit", folder, "--out", out, "--min-rating", "4", "--pool", "40", "--people", "30")
    assert ended.code == 0, ended.err
    profile = read_profile(out)
    assert profile.version in ended.out
    assert profile.fit["people"] == 30
    assert len(read_exposure(out)) == invented_data.ITEMS


def test_a_fit_that_does_not_say_what_happens_is_not_written(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Fit(default_profile(), {}, ["decile 1 of popularity: 9 relevant items are stated"])
    monkeypatch.setattr(command, "fit_profile", lambda *_: told)
    ended = run("fit", folder, "--out", folder / "profile.json")
    assert ended.code == 3
    assert "not reliable" in ended.err
    assert "decile 1 of popularity: 9" in ended.err
    assert not (folder / "profile.json").exists()
