"""An encoder is adapted: it becomes better at queries it did not see, or nothing is written."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from longtail.export import checkpoint as checkpoints
from longtail.worker.tokenizer import Role
from safetensors.torch import load_file

from evaluation.dataset import DatasetError
from tests.unit.training.adapt import small
from training import steps
from training.adapt.encoder import AdaptedEncoder, Kind
from training.adapt.objective import Objective
from training.adapt.run import CHECKPOINT, LOG, REPORT, Adapted, Recipe, adapt
from training.steps import Plan, Progress, StateError

PLAN = Plan(steps=12, batch=24, part=8, look=4, rate=3e-2)
RECIPE = Recipe(tasks=("descriptions", "queries"), rank=4, plan=PLAN, objective=Objective(0.1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Have little computed by one thread: more would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.checkpoint(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.catalogue(tmp_path_factory.mktemp("data") / "small")


def adapted(model: Path, data: Path, out: Path, recipe: Recipe = RECIPE) -> Adapted:
    return adapt(str(model), data, out, recipe, Accelerator(cpu=True), lambda _: None)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / CHECKPOINT / "model.safetensors")


def test_queries_become_better_and_what_is_written_is_a_checkpoint(
    model: Path, data: Path, tmp_path: Path
) -> None:
    found = adapted(model, data, tmp_path)

    assert found.taken
    assert found.after > 1.1 * found.before
    assert found.interval[0] <= found.after - found.before <= found.interval[1]
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["found"]["after"] == found.after
    assert len((tmp_path / LOG).read_text().splitlines()) == 5
    # What was merged computes what was learned.
    written = checkpoints.read(str(tmp_path / CHECKPOINT))
    fresh = AdaptedEncoder(written, Kind.LORA, 4, 1, 64)
    assert not list((tmp_path / CHECKPOINT).glob("adapter*"))
    state = torch.load(tmp_path / steps.STATE, weights_only=True)
    learned = AdaptedEncoder(checkpoints.read(str(model)), Kind.LORA, 4, 12, 64)
    learned.set_weights(state["progress"]["kept"])
    texts = ["w1 w2", "n3 w3", "w59"]
    np.testing.assert_allclose(
        fresh.encode(texts, Role.ITEM), learned.encode(texts, Role.ITEM), atol=1e-5
    )


@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_another_does_not(
    model: Path, data: Path, tmp_path: Path
) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        adapted(model, data, tmp_path / name, _with(seed=seed))
    one, two, three = (weights(tmp_path / name) for name in ("one", "two", "three"))

    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


def test_parts_of_a_batch_learn_what_the_whole_does(
    model: Path, data: Path, tmp_path: Path
) -> None:
    whole = _with(steps=2, look=2, part=64)
    for name, recipe in (("parts", _with(steps=2, look=2)), ("whole", whole)):
        adapted(model, data, tmp_path / name, recipe)
    parts, at_once = (
        torch.load(tmp_path / name / steps.STATE, weights_only=True)["weights"]
        for name in ("parts", "whole")
    )

    assert all(torch.allclose(parts[name], at_once[name], atol=1e-4) for name in parts)


@pytest.mark.parametrize("kind", [Kind.DORA, Kind.ADALORA])
@pytest.mark.slow
def test_other_adapters_learn_and_are_merged_too(
    kind: Kind, model: Path, data: Path, tmp_path: Path
) -> None:
    recipe = Recipe(RECIPE.tasks, kind, 4, plan=PLAN, objective=Objective(0.1), tolerance=1.0)
    found = adapted(model, data, tmp_path, recipe)

    assert found.best_step
    assert (tmp_path / CHECKPOINT / "model.safetensors").exists()


def test_without_labels_and_at_several_lengths_the_queries_still_judge(
    model: Path, data: Path, tmp_path: Path
) -> None:
    tasks = ("dropout", "views", "likes")
    plan = Plan(steps=6, batch=8, part=4, look=3)
    recipe = Recipe(tasks, rank=4, plan=plan, objective=Objective(lengths=(8, 16)))
    found = adapted(model, data, tmp_path, recipe)

    assert found.queries == 12


def test_queries_that_were_made_up_teach_and_do_not_judge(model: Path, tmp_path: Path) -> None:
    data = small.catalogue(tmp_path / "data")
    made = ["query,item_id", *(f"{' '.join(small.IDLE)} w{at},{at}" for at in range(60))]
    (data / "pseudo_queries.csv").write_text("\n".join(made) + "\n")
    recipe = Recipe(("pseudo",), rank=4, plan=PLAN, objective=Objective(0.1))
    found = adapted(model, data, tmp_path / "out", recipe)

    assert found.queries == 12
    assert found.after > 1.1 * found.before


def test_what_makes_queries_worse_is_not_written(model: Path, data: Path, tmp_path: Path) -> None:
    # Likes alone, without restraint.
    plan = Plan(steps=4, batch=24, part=24, look=4, rate=1.0)
    recipe = Recipe(("likes",), rank=4, plan=plan, objective=Objective(0.0))
    found = adapted(model, data, tmp_path, recipe)

    assert not found.taken
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_folder_without_queries_and_a_state_of_others_are_refused(
    model: Path, data: Path, tmp_path: Path
) -> None:
    bare = small.catalogue(tmp_path / "bare")
    (bare / "queries.csv").unlink()
    with pytest.raises(DatasetError, match=r"queries\.csv"):
        adapted(model, bare, tmp_path / "out")
    adapted(model, data, tmp_path / "state", _with(steps=2, look=2))
    with pytest.raises(StateError, match="other data or settings"):
        adapted(model, data, tmp_path / "state", _with(steps=2, look=2, seed=5))


def test_what_was_interrupted_goes_on_where_it_was(model: Path, data: Path, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.step == 7:
            raise Interrupted

    with pytest.raises(Interrupted):
        adapt(str(model), data, tmp_path / "broken", RECIPE, Accelerator(cpu=True), interrupt)
    seen: list[int] = []
    adapt(
        str(model), data, tmp_path / "broken", RECIPE, Accelerator(cpu=True),
        lambda progress: seen.append(progress.step),
    )  # fmt: skip
    adapted(model, data, tmp_path / "whole")

    assert seen[0] == 5
    # What is done is not done again, and the checkpoint is the same.
    adapt(str(model), data, tmp_path / "broken", RECIPE, Accelerator(cpu=True), interrupt)
    broken, whole = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert all(torch.equal(broken[name], whole[name]) for name in whole)


def _with(**changes: int) -> Recipe:
    plan = Plan(**{**vars(PLAN), **changes})
    return Recipe(RECIPE.tasks, rank=4, plan=plan, objective=RECIPE.objective, tolerance=1.0)
