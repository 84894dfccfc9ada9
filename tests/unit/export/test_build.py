"""Exports of tiny checkpoints, held against torch on the same texts."""

from pathlib import Path

import numpy as np
import pytest
from longtail.export.build import Options, build
from longtail.export.checkpoint import read
from longtail.export.errors import ExportError
from longtail.export.parity import Gate
from longtail.export.precision import Precision
from longtail.export.reduction import Wanted
from longtail.export.reference import Reference
from longtail.export.texts import Sample
from longtail.worker import model
from longtail.worker.artefact import Artefact, load
from longtail.worker.devices import Device, DeviceChoice, DeviceError
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import Vectors

from tests.unit.export import checkpoints
from tests.unit.export.checkpoints import PROMPTS, TEXTS
from tests.unit.export.graphs import some_slow

# Ten neighbours of eight texts are all of them; the cosine is what a tiny model is judged by.
GATE = Gate(cosine_min=0.99, top10_overlap=0.0)
MISSED = Gate(cosine_min=1.1, top10_overlap=0.0)
SAMPLE = Sample(TEXTS, TEXTS)


def exported(
    tmp_path: Path,
    folder: Path,
    precision: Precision = Precision.ROW_INT8,
    wanted: Wanted | None = None,
) -> Artefact:
    options = Options(GATE, precision, wanted or Wanted())
    build(str(folder), tmp_path / "out", SAMPLE, options)
    return load(tmp_path / "out")


def encode(artefact: Artefact, texts: list[str], role: Role = Role.ITEM) -> Vectors:
    """Return the vectors of `texts` in one padded batch."""
    tokens = Tokenizer(artefact).tokenise(texts, role)
    (encoder,) = model.load(artefact, DeviceChoice(Device.CPU))
    return encoder.encode([text.ids for text in tokens])


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


RELATIVES = ("distilbert", "electra", "mpnet", "roberta", "xlm-roberta")


@pytest.mark.parametrize("model_type", some_slow(RELATIVES, ("mpnet", "xlm-roberta")))
def test_relatives_of_bert_are_exported_too(tmp_path: Path, model_type: str) -> None:
    folder = checkpoints.write(tmp_path / "tiny", model_type=model_type, max_seq_length=None)
    artefact = exported(tmp_path, folder, Precision.NBITS8)
    longest = "maps " * 100
    original = Reference(read(str(folder))).encode([*TEXTS, longest])
    assert cosines(encode(artefact, [*TEXTS, longest]), original).min() > 0.99


def test_the_query_prompt_is_part_of_the_query(tmp_path: Path) -> None:
    folder, bare_folder = tmp_path / "tiny", tmp_path / "bare"
    # Prompted texts would calibrate a graph of 8 bits to other scales.
    artefact = exported(tmp_path, checkpoints.write(folder, prompts=PROMPTS), Precision.FP32)
    bare = exported(tmp_path / "other", checkpoints.write(bare_folder), Precision.FP32)
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
        build(str(folder), tmp_path / "out", SAMPLE, Options(MISSED))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_an_artefact_is_replaced_on_success_only(tmp_path: Path) -> None:
    before = exported(tmp_path, checkpoints.write(tmp_path / "tiny"))
    changed = checkpoints.write(tmp_path / "changed", pooling="cls_token")
    with pytest.raises(ExportError):
        build(str(changed), before.folder, SAMPLE, Options(MISSED))
    assert load(before.folder).manifest.model_id == before.manifest.model_id
    build(str(changed), before.folder, SAMPLE, Options(GATE))
    assert load(before.folder).manifest.pooling == "cls"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed", "out", "tiny"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "out" / "thesis.txt"
    checkpoints.dump(precious, "years of work")
    with pytest.raises(ExportError, match="is no artefact"):
        build(str(checkpoints.write(tmp_path / "tiny")), tmp_path / "out", SAMPLE, Options(GATE))
    assert precious.exists()


def test_the_same_checkpoint_gives_the_same_model_id(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    first = build(str(folder), tmp_path / "first", SAMPLE, Options(GATE)).manifest
    second = build(str(folder), tmp_path / "second", SAMPLE, Options(GATE)).manifest
    assert first.model_id == second.model_id
    other = checkpoints.write(tmp_path / "other" / "tiny", max_seq_length=8)
    assert (
        build(str(other), tmp_path / "third", SAMPLE, Options(GATE)).manifest.model_id
        != first.model_id
    )


@pytest.mark.parametrize("precision", [Precision.ROW_INT8, Precision.NBITS8, Precision.FP32])
def test_the_manifest_says_how_it_was_made(tmp_path: Path, precision: Precision) -> None:
    manifest = exported(tmp_path, checkpoints.write(tmp_path / "tiny"), precision).manifest
    assert manifest.precision == precision.value
    assert manifest.calibration_texts == (len(TEXTS) if precision is Precision.ROW_INT8 else 0)
    assert manifest.reduction is None


def test_a_graph_for_a_gpu_is_measured_before_it_is_packed(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    artefact = exported(tmp_path, folder, Precision.FP16)
    assert artefact.manifest.parity.cosine_min > 0.9999
    with pytest.raises(DeviceError, match="fp16 does not run on cpu"):
        encode(artefact, TEXTS)


def test_fewer_layers_and_shorter_vectors_come_with_what_they_cost(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny", layers=4)
    wanted = Wanted(layers=2, dimension=7)
    artefact = exported(tmp_path, folder, Precision.FP32, wanted)
    assert encode(artefact, TEXTS).shape == (len(TEXTS), 7)
    manifest, smaller = artefact.manifest, artefact.manifest.reduction
    assert smaller is not None
    assert manifest.dimension == 7
    assert (smaller.layers, smaller.whole_layers) == (2, 4)
    assert (smaller.dimension, smaller.whole_dimension) == (7, 32)
    # Against the checkpoint made smaller it is exact, against the whole one it is not.
    assert manifest.parity.cosine_min > 0.99999
    assert 0 < smaller.cosine_mean < 0.99


def test_a_checkpoint_that_cuts_its_vectors_is_cut_as_it_says(tmp_path: Path) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    checkpoints.dump(folder / "config_sentence_transformers.json", {"truncate_dim": 9})
    whole = Reference(read(str(folder))).encode(TEXTS)[:, :9]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    artefact = exported(tmp_path, folder, Precision.FP32)
    np.testing.assert_allclose(encode(artefact, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("wanted", [Wanted(layers=2), Wanted(dimension=33), Wanted(dimension=-1)])
def test_nothing_left_and_more_than_there_is_are_refused(tmp_path: Path, wanted: Wanted) -> None:
    folder = checkpoints.write(tmp_path / "tiny")
    with pytest.raises(ExportError, match="cannot be"):
        exported(tmp_path, folder, wanted=wanted)
