"""Exports of tiny checkpoints, held against torch on the same texts."""

from pathlib import Path

import numpy as np
import pytest

from export.build import build
from export.checkpoint import read
from export.errors import ExportError
from export.parity import Gate
from export.reference import Reference
from tests.unit.export import checkpoints
from tests.unit.export.checkpoints import PROMPTS, TEXTS
from worker import model
from worker.artefact import Artefact, load
from worker.model import Device
from worker.tokenizer import Role, Tokenizer
from worker.vectors import Vectors

# Ten neighbours of eight texts are all of them; the cosine is what a tiny model is judged by.
GATE = Gate(cosine_min=0.99, top10_overlap=0.0)


def exported(tmp_path: Path, folder: Path) -> Artefact:
    build(str(folder), tmp_path / "out", TEXTS, GATE)
    return load(tmp_path / "out")


def encode(artefact: Artefact, texts: list[str], role: Role = Role.ITEM) -> Vectors:
    """Return the vectors of `texts` in one padded batch."""
    tokens = Tokenizer(artefact).tokenise(texts, role)
    return model.load(artefact, Device.CPU).encode([text.ids for text in tokens])


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    return np.asarray(np.sum(ours * theirs, axis=1))


@pytest.mark.parametrize("prompts", [None, PROMPTS])
@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token", "max_tokens"])
def test_vectors_are_those_of_the_checkpoint(
    tmp_path: Path, pooling: str, prompts: dict[str, str] | None
) -> None:
    folder = checkpoints.write(tmp_path / "tiny", pooling=pooling, prompts=prompts)
    artefact = exported(tmp_path, folder)
    original = Reference(read(str(folder))).encode(TEXTS)
    assert cosines(encode(artefact, TEXTS), original).min() > 0.99
    # Else any pooling would pass.
    assert np.sort(original @ original.T, axis=1)[:, 0].max() < 0.98


@pytest.mark.parametrize("model_type", ["distilbert", "electra", "mpnet", "roberta", "xlm-roberta"])
def test_relatives_of_bert_are_exported_too(tmp_path: Path, model_type: str) -> None:
    folder = checkpoints.write(tmp_path / "tiny", model_type=model_type, max_seq_length=None)
    artefact = exported(tmp_path, folder)
    longest = "maps " * 100
    original = Reference(read(str(folder))).encode([*TEXTS, longest])
    assert cosines(encode(artefact, [*TEXTS, longest]), original).min() > 0.99


def test_the_query_prompt_is_part_of_the_query(tmp_path: Path) -> None:
    artefact = exported(tmp_path, checkpoints.write(tmp_path / "tiny", prompts=PROMPTS))
    bare = exported(tmp_path / "bare", checkpoints.write(tmp_path / "tiny2"))
    query = encode(artefact, ["old maps"], Role.QUERY)
    assert cosines(query, encode(bare, [PROMPTS["query"] + "old maps"])) > 0.99999
    assert cosines(query, encode(artefact, ["old maps"], Role.ITEM)) < 0.99


def test_a_text_has_one_vector_alone_and_in_any_padded_batch(tmp_path: Path) -> None:
    artefact = exported(tmp_path, checkpoints.write(tmp_path / "tiny"))
    together = encode(artefact, TEXTS)
    alone = np.concatenate([encode(artefact, [text]) for text in TEXTS])
    assert cosines(alone, together).min() > 1 - 1e-6


def test_golden_vectors_are_what_the_artefact_gives(tmp_path: Path) -> None:
    artefact = exported(tmp_path, checkpoints.write(tmp_path / "tiny", prompts=PROMPTS))
    assert {golden.role for golden in artefact.manifest.golden} == {"query", "item"}
    for golden in artefact.manifest.golden:
        (vector,) = encode(artefact, [golden.text], Role(golden.role))
        np.testing.assert_allclose(vector, golden.vector, atol=1e-6)


def test_lower_casing_of_the_checkpoint_is_kept(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    settings = {"max_seq_length": 16, "do_lower_case": True}
    checkpoints.dump(folder / "sentence_bert_config.json", settings)
    vectors = encode(exported(tmp_path, folder), ["Old Maps", "old maps"])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_a_missed_gate_says_the_figure_and_leaves_no_artefact(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    with pytest.raises(ExportError, match=r"cosine_min is \d\.\d{4} on 8 texts"):
        build(str(folder), tmp_path / "out", TEXTS, Gate(cosine_min=1.1, top10_overlap=0))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_an_artefact_is_replaced_on_success_only(tmp_path: Path) -> None:
    before = exported(tmp_path, checkpoints.write(tmp_path / "tiny"))
    changed = checkpoints.write(tmp_path / "changed", pooling="cls_token")
    with pytest.raises(ExportError):
        build(str(changed), before.folder, TEXTS, Gate(cosine_min=1.1, top10_overlap=0))
    assert load(before.folder).manifest.model_id == before.manifest.model_id
    build(str(changed), before.folder, TEXTS, GATE)
    assert load(before.folder).manifest.pooling == "cls"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed", "out", "tiny"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "out" / "thesis.txt"
    checkpoints.dump(precious, "years of work")
    with pytest.raises(ExportError, match="is no artefact"):
        build(str(checkpoints.write(tmp_path / "tiny")), tmp_path / "out", TEXTS, GATE)
    assert precious.exists()


def test_the_same_checkpoint_gives_the_same_model_id(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    first = build(str(folder), tmp_path / "first", TEXTS, GATE).manifest
    second = build(str(folder), tmp_path / "second", TEXTS, GATE).manifest
    assert first.model_id == second.model_id
    other = checkpoints.write(tmp_path / "other" / "tiny", max_seq_length=8)
    assert build(str(other), tmp_path / "third", TEXTS, GATE).manifest.model_id != first.model_id
