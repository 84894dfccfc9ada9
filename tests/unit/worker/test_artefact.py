import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from longtail.worker.artefact import GRAPH, MANIFEST, TOKENIZER, Artefact, ArtefactError, load
from longtail.worker.tokenizer import Tokenizer

from tests.damages import check_refusals

Change = Callable[[dict[str, Any]], None]


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        load(folder)


def rewrite(artefact: Artefact, change: Change) -> None:
    path = artefact.folder / MANIFEST
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_what_was_written_is_what_is_read(artefact_on_disk: Artefact) -> None:
    manifest = load(artefact_on_disk.folder).manifest
    written = artefact_on_disk.manifest
    assert manifest.model_id == written.model_id
    assert manifest.prompts == written.prompts
    assert manifest.parity == written.parity
    np.testing.assert_array_equal(manifest.golden[0].vector, written.golden[0].vector)


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER, MANIFEST])
def test_a_missing_file_is_named(artefact_on_disk: Artefact, name: str) -> None:
    (artefact_on_disk.folder / name).unlink()
    refused(artefact_on_disk.folder, f"{re.escape(name)}: .*No such file")


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER])
def test_a_flipped_byte_is_found(artefact_on_disk: Artefact, name: str) -> None:
    path = artefact_on_disk.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(artefact_on_disk.folder, f"{re.escape(name)}: sha256 is ")


def test_a_truncated_manifest_is_refused(artefact_on_disk: Artefact) -> None:
    path = artefact_on_disk.folder / MANIFEST
    path.write_bytes(path.read_bytes()[:100])
    refused(artefact_on_disk.folder, re.escape(MANIFEST))


def test_a_later_format_is_refused_by_its_number(artefact_on_disk: Artefact) -> None:
    rewrite(artefact_on_disk, lambda document: document.update(format_version=2))
    refused(artefact_on_disk.folder, "format_version is 2, this worker reads 1")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d.pop("dimension"), "dimension"),
        (lambda d: d.update(max_tokens=0), "max_tokens is 0"),
        (lambda d: d.update(max_tokens=True), "max_tokens"),
        (lambda d: d["prompts"].update(query=None), r"prompts\.query"),
        (lambda d: d.update(parity=[]), "parity"),
        (lambda d: d["golden"][0].update(vector="AAAA"), "golden"),
        (lambda d: d["golden"][0].update(role="passage"), "golden"),
        (lambda d: d.update(golden={}), "golden"),
    ],
)
def test_a_wrong_field_is_named(artefact_on_disk: Artefact, change: Change, field: str) -> None:
    rewrite(artefact_on_disk, change)
    refused(artefact_on_disk.folder, field)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["prompts"].update(query="search: "),
        lambda d: d.update(max_tokens=d["max_tokens"] + 1),
    ],
)
def test_what_decides_a_vector_cannot_change_under_the_same_model_id(
    artefact_on_disk: Artefact, change: Change
) -> None:
    rewrite(artefact_on_disk, change)
    refused(artefact_on_disk.folder, "model_id is ")


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER, MANIFEST])
def test_a_damaged_file_is_refused_in_a_sentence_that_names_it(
    artefact_on_disk: Artefact, name: str
) -> None:
    folder = artefact_on_disk.folder
    # A manifest may be wrong about a file, which is the one that is named then.
    named = folder.name if name == MANIFEST else name
    assert check_refusals(folder / name, lambda: load(folder), ArtefactError, named) > 5
    assert load(folder).manifest.model_id == artefact_on_disk.manifest.model_id


def test_an_encoder_that_cannot_be_proved_is_refused(artefact_on_disk: Artefact) -> None:
    rewrite(artefact_on_disk, lambda document: document.update(golden=[]))
    refused(artefact_on_disk.folder, "golden has no text")


def test_a_damaged_tokenizer_that_is_vouched_for_is_refused(artefact_on_disk: Artefact) -> None:
    path = artefact_on_disk.folder / TOKENIZER
    assert check_refusals(path, lambda: Tokenizer(artefact_on_disk), ArtefactError) > 20
