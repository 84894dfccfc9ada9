"""An encoder is distilled into fewer layers: they come nearer to all, or nothing is written."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from longtail.export import checkpoint as checkpoints
from longtail.export.errors import ExportError
from longtail.worker.tokenizer import Role

from evaluation.dataset import DatasetError
from tests.unit.training.adapt import small
from training import steps
from training.distil.run import CHECKPOINT, LOG, REPORT, Distilled, Recipe, distil
from training.reading import Reading
from training.steps import Plan, Progress, StateError

RECIPE = Recipe(1, tolerance=1.0, plan=Plan(steps=12, batch=16, part=8, look=4, rate=5e-3))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Have little computed by one thread: more would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.checkpoint(tmp_path_factory.mktemp("model") / "small", spread=0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small.catalogue(tmp_path_factory.mktemp("data") / "small")
    # What people did teaches nothing here, and need not be given.
    (folder / "interactions.csv").unlink()
    return folder


def distilled(model: Path, data: Path, out: Path, recipe: Recipe = RECIPE) -> Distilled:
    return distil(str(model), data, out, recipe, Accelerator(cpu=True), lambda _: None)


def test_fewer_layers_come_nearer_to_all_and_are_written_as_a_checkpoint(
    model: Path, data: Path, tmp_path: Path
) -> None:
    found = distilled(model, data, tmp_path)

    assert found.taken
    assert found.layers == (2, 1)
    assert found.whole.cosine == 1
    assert found.pruned.cosine < found.after.cosine
    assert found.after.ndcg is not None
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["found"]["after"]["cosine"] == found.after.cosine
    assert len((tmp_path / LOG).read_text().splitlines()) == 5
    # What was written has one layer, and computes what was kept.
    written = Reading(checkpoints.read(str(tmp_path / CHECKPOINT)), 64)
    assert written.model.config.num_hidden_layers == 1
    kept = torch.load(tmp_path / steps.STATE, weights_only=True)["progress"]["kept"]
    weights = written.model.state_dict()
    assert kept
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    # Words are looked up as before, so that what few texts have is not forgotten.
    before = Reading(checkpoints.read(str(model)), 64).model.state_dict()
    words = "embeddings.word_embeddings.weight"
    assert torch.equal(weights[words], before[words])


def test_parts_learn_what_the_whole_does_and_a_break_changes_nothing(
    model: Path, data: Path, tmp_path: Path
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.step == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        distil(str(model), data, tmp_path / "broken", RECIPE, Accelerator(cpu=True), interrupt)
    distilled(model, data, tmp_path / "broken")
    distilled(model, data, tmp_path / "parts")
    distilled(model, data, tmp_path / "whole", replace(RECIPE, plan=replace(RECIPE.plan, part=16)))

    broken, parts, whole = (
        Reading(checkpoints.read(str(tmp_path / name / CHECKPOINT)), 64)
        for name in ("broken", "parts", "whole")
    )
    texts = ["w1 w2", "w3", "i1 i2 w5"]
    for other, tolerance in ((broken, 0.0), (whole, 1e-3)):
        np.testing.assert_allclose(
            other.encode(other.model, texts, Role.ITEM),
            parts.encode(parts.model, texts, Role.ITEM),
            atol=tolerance,
        )


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, plan=replace(RECIPE.plan, rate=0.0, steps=2)),
        replace(RECIPE, tolerance=-9.0, plan=replace(RECIPE.plan, steps=4)),
    ],
    ids=["nothing was learned", "queries are not ten times as good"],
)
def test_what_is_not_good_enough_is_not_written(
    recipe: Recipe, model: Path, data: Path, tmp_path: Path
) -> None:
    found = distilled(model, data, tmp_path, recipe)

    assert not found.taken
    assert (tmp_path / REPORT).exists()
    assert not (tmp_path / CHECKPOINT).exists()


def test_other_layers_few_texts_and_a_state_of_others_are_refused(
    model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="cannot be dropped"):
        distilled(model, data, tmp_path / "two", replace(RECIPE, layers=2))
    bare = small.catalogue(tmp_path / "bare")
    lines = (bare / "items.csv").read_text().splitlines()
    (bare / "items.csv").write_text("\n".join(lines[:20]) + "\n")
    with pytest.raises(DatasetError, match="different texts"):
        distilled(model, bare, tmp_path / "few")
    short = replace(RECIPE, plan=replace(RECIPE.plan, steps=2, look=2))
    distilled(model, data, tmp_path / "state", short)
    with pytest.raises(StateError, match="other data or settings"):
        distilled(model, data, tmp_path / "state", replace(short, max_tokens=32))
