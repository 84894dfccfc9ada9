"""The command: what it writes and says of a folder, and its exit codes."""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.settings import SettingsError
from longtail.server.ranking.head import fitting
from longtail.server.ranking.head.head import read_head
from longtail.server.ranking.head.learning import Recipe
from typer.testing import CliRunner, Result

from evaluation.significance import Estimate
from tests.unit.server.ranking.head import shelves
from training import __main__ as command
from training import head as heads
from training.measuring import Effect

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command quickly, on the vectors of the shelves."""
    monkeypatch.setattr(fitting, "STEPS", 20)
    monkeypatch.setattr(fitting, "ROUNDS", 3)
    monkeypatch.setattr(fitting, "BATCH", 64)
    monkeypatch.setattr(heads, "encoder_id", lambda settings: "invented")
    monkeypatch.setattr(
        heads, "item_vectors", lambda titles, texts, settings, tell: shelves.material().vectors
    )

    def quick(**given: float) -> Recipe:
        given |= {"restraint": 0.1 * given["restraint"]}
        return Recipe(hidden=64, rate=0.02, **given)

    monkeypatch.setattr(command, "Recipe", quick)

    return partial(invoked, "head")


def invoked(name: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command.app, [name, *map(str, arguments)])


def write(folder: Path, *, by_shelf: bool = True) -> Path:
    """Write the shelves as a folder."""
    material = shelves.material(by_shelf=by_shelf)
    folder.mkdir()
    with (folder / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("item_id", "title", "text"))
        rows.writerows((name, name, name) for name in material.names)
    with (folder / "interactions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("user_id", "item_id", "rating"))
        likes = material.likes
        for person, item in zip(likes.people.tolist(), likes.items.tolist(), strict=True):
            rows.writerow((f"u{person}", material.names[item], 5))
    return folder


def test_the_best_of_several_seeds_is_written_with_its_rounds(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(write(tmp_path / "data"), "--out", out, "--seeds", "2", "--min-rating", "4")
    assert done.exit_code == 0, done.output
    head = read_head(out / "head.npz")
    assert head.version in done.output
    assert "cold" in done.output
    assert "not touched" in done.output
    with (out / "head.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["seed"] for row in rows} == {"0", "1"}
    mine = [row for row in rows if int(row["seed"]) == head.facts["recipe"]["seed"]]
    reached = [float(row["cold ndcg@20"]) for row in mine]
    assert head.facts["with the head"]["cold ndcg@20"] in reached
    assert reached[0] == head.facts["text alone"]["cold ndcg@20"]
    vectors = shelves.material().vectors
    assert np.isfinite(head.adapted(vectors)).all()


def test_where_nothing_is_gained_no_head_is_written(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(write(tmp_path / "data", by_shelf=False), "--out", out)
    assert done.exit_code == 3
    assert not (out / "head.npz").exists()
    assert (out / "head.csv").exists()


def test_wrong_data_and_settings_are_told_in_a_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "nowhere" in done.output
    done = run(write(tmp_path / "data"), "--min-rating", "9")
    assert (done.exit_code, "no rating of 9" in done.output) == (2, True)

    def unknown(settings: object) -> str:
        raise SettingsError("LONGTAIL_MODEL: there is no such encoder")

    monkeypatch.setattr(heads, "encoder_id", unknown)
    done = run(tmp_path / "data", "--out", tmp_path / "out")
    assert (done.exit_code, "no such encoder" in done.output) == (2, True)


def test_effects_are_told_after_each_seed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def effects(*given: object) -> Iterator[list[Effect]]:
        for seed in range(2):
            more = Estimate(0.025, 0.01, 0.04)
            yield [Effect(f"cold ndcg@20 of {seed}", 0.05, 0.075, more), Effect("none", 0, 0, more)]

    monkeypatch.setattr(command, "effects", effects)
    monkeypatch.setattr(command, "text_vectors", lambda opinions, tell: ("invented", None))
    done = invoked("measure", write(tmp_path / "data"), "--seeds", "2")
    assert done.exit_code == 0, done.output
    for seed in range(2):
        assert f"cold ndcg@20 of {seed}" in done.output
    assert "+50%" in done.output
    assert "[+0.0100, +0.0400]" in done.output
    assert invoked("measure", tmp_path / "nowhere").exit_code == 2
