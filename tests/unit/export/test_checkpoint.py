from pathlib import Path

import pytest

from export.checkpoint import Pooling, read
from export.errors import ExportError
from tests.unit.export import checkpoints
from worker.artefact import Prompts


@pytest.mark.parametrize(
    ("flag", "pooling"),
    [("mean_tokens", Pooling.MEAN), ("cls_token", Pooling.CLS), ("max_tokens", Pooling.MAX)],
)
def test_pooling_is_what_the_checkpoint_declares(
    tmp_path: Path, flag: str, pooling: Pooling
) -> None:
    assert read(str(checkpoints.write(tmp_path, pooling=flag))).pooling is pooling


def test_a_checkpoint_without_sentence_files_is_pooled_by_the_mean(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path, pooling="cls_token", max_seq_length=None)
    (folder / "modules.json").unlink()
    checkpoint = read(str(folder))
    assert checkpoint.pooling is Pooling.MEAN
    assert checkpoint.max_tokens == checkpoints.POSITIONS


@pytest.mark.parametrize(
    ("asked", "model_type", "max_tokens"),
    [
        (16, "bert", 16),
        (10**30, "bert", checkpoints.POSITIONS),
        (None, "bert", checkpoints.POSITIONS),
        (10**30, "roberta", checkpoints.POSITIONS - 2),
    ],
)
def test_the_longest_input_fits_the_position_table(
    tmp_path: Path, asked: int | None, model_type: str, max_tokens: int
) -> None:
    folder = checkpoints.write(tmp_path, max_seq_length=asked, model_type=model_type)
    assert read(str(folder)).max_tokens == max_tokens


@pytest.mark.parametrize(
    ("config", "prompts"),
    [
        ({}, Prompts("", "")),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, Prompts("q: ", "p: ")),
        ({"prompts": {"query": "q: ", "document": "d: "}}, Prompts("q: ", "d: ")),
        ({"prompts": {"x": "x: "}, "default_prompt_name": "x"}, Prompts("x: ", "x: ")),
        ({"prompts": {"query": "q: "}, "default_prompt_name": None}, Prompts("q: ", "")),
    ],
)
def test_prompts_go_to_their_roles(
    tmp_path: Path, config: dict[str, object], prompts: Prompts
) -> None:
    folder = checkpoints.write(tmp_path)
    checkpoints.dump(folder / "config_sentence_transformers.json", config)
    assert read(str(folder)).prompts == prompts


def test_an_unknown_pooling_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path, pooling="weightedmean_tokens")
    with pytest.raises(ExportError, match="pooling_mode_weightedmean_tokens is not supported"):
        read(str(folder))


def test_a_further_module_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path, modules=("Transformer", "Pooling", "Dense"))
    with pytest.raises(ExportError, match="module Dense is not supported"):
        read(str(folder))


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path)
    checkpoints.dump(folder / "config.json", {"model_type": "gpt2"})
    with pytest.raises(ExportError, match="architecture 'gpt2' is not supported"):
        read(str(folder))


def test_pooling_without_the_prompt_is_refused_where_there_is_one(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path, prompts=checkpoints.PROMPTS)
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    checkpoints.dump(folder / "1_Pooling" / "config.json", pooling)
    with pytest.raises(ExportError, match="leaves the prompt out"):
        read(str(folder))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ExportError, match=r"no \*\.safetensors"):
        read(str(folder))
