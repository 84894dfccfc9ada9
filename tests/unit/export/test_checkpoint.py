import json
from pathlib import Path

import pytest
from longtail.export.checkpoint import Pooling, read
from longtail.export.errors import ExportError
from longtail.export.reference import Reference
from longtail.worker.artefact import Prompts

from tests.damages import check_refusals
from tests.unit.export import checkpoints


def change(path: Path, settings: dict[str, object]) -> None:
    """Change some settings of a JSON file."""
    checkpoints.dump(path, {**json.loads(path.read_text()), **settings})


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


@pytest.mark.parametrize(
    "model_type", ["gpt2", "t5", "qwen3", "modernbert", "nomic_bert", "deberta-v2", None]
)
def test_another_architecture_is_refused_by_name(tmp_path: Path, model_type: str | None) -> None:
    folder = checkpoints.write(tmp_path)
    checkpoints.dump(folder / "config.json", {"model_type": model_type})
    with pytest.raises(ExportError, match=f"architecture {model_type!r} is not supported"):
        read(str(folder))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "auto_map names code of its own"),
        ({"position_embedding_type": "relative_key"}, "type 'relative_key' are not supported"),
        ({"position_embedding_type": "alibi"}, "type 'alibi' are not supported"),
        ({"is_decoder": True}, "is_decoder is set"),
        ({"add_cross_attention": True}, "add_cross_attention is set"),
    ],
)
def test_a_variant_of_a_known_architecture_is_refused_by_name(
    tmp_path: Path, settings: dict[str, object], reason: str
) -> None:
    folder = checkpoints.write(tmp_path)
    change(folder / "config.json", settings)
    with pytest.raises(ExportError, match=reason):
        read(str(folder))


def test_a_tokenizer_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path)
    change(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tokens.Own", None]}})
    with pytest.raises(ExportError, match="auto_map names code of its own"):
        read(str(folder))


def test_a_module_with_code_of_its_own_is_refused_whatever_its_name(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path)
    entries = json.loads((folder / "modules.json").read_text())
    entries[0]["type"] = "custom_st.Transformer"
    checkpoints.dump(folder / "modules.json", entries)
    with pytest.raises(ExportError, match=r"custom_st\.Transformer is code of its own"):
        read(str(folder))


def test_two_poolings_at_once_are_refused(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path)
    both = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    checkpoints.dump(folder / "1_Pooling" / "config.json", both)
    with pytest.raises(
        ExportError, match=r"mean_tokens \+ pooling_mode_cls_token is not supported"
    ):
        read(str(folder))


def test_the_size_of_the_padding_token_id_is_taken_from_the_positions(tmp_path: Path) -> None:
    folder = checkpoints.write(
        tmp_path, model_type="xlm-roberta", sentencepiece=True, max_seq_length=None
    )
    change(folder / "config.json", {"pad_token_id": 5})
    assert read(str(folder)).max_tokens == checkpoints.POSITIONS - 6


@pytest.mark.parametrize(
    ("config", "sentence", "matryoshka", "truncate_dim"),
    [
        ({}, {}, False, None),
        ({}, {"truncate_dim": None}, False, None),
        ({}, {"truncate_dim": 16}, True, 16),
        ({"matryoshka_dimensions": [8, 16]}, {}, True, None),
        ({"is_matryoshka": True}, {}, True, None),
        ({"is_matryoshka": False}, {}, False, None),
    ],
)
def test_a_matryoshka_encoder_is_known_by_its_signs(
    tmp_path: Path,
    config: dict[str, object],
    sentence: dict[str, object],
    matryoshka: bool,
    truncate_dim: int | None,
) -> None:
    folder = checkpoints.write(tmp_path)
    change(folder / "config.json", config)
    checkpoints.dump(folder / "config_sentence_transformers.json", sentence)
    checkpoint = read(str(folder))
    assert (checkpoint.matryoshka, checkpoint.truncate_dim) == (matryoshka, truncate_dim)


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


@pytest.mark.parametrize(
    "name",
    ["config.json", "modules.json", "sentence_bert_config.json", "tokenizer_config.json",
     "config_sentence_transformers.json", "1_Pooling/config.json"],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    folder = checkpoints.write(tmp_path / "model", prompts=checkpoints.PROMPTS)
    check_refusals(folder / name, lambda: read(str(folder)), ExportError, "model")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_damaged_weights_and_tokenizers_are_refused_in_a_sentence(
    tmp_path: Path, name: str
) -> None:
    folder = checkpoints.write(tmp_path / "model")
    checkpoint = read(str(folder))
    sound = (folder / name).read_bytes()
    for content in (b"", sound[:1], sound[: len(sound) // 2], sound[1:], b"{}", b"\0" * 64):
        (folder / name).write_bytes(content)
        with pytest.raises(ExportError, match="fetch the checkpoint again") as caught:
            Reference(checkpoint)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
