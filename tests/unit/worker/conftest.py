"""A small artefact that is whole in every respect but the graph, which no test here runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from longtail.worker.artefact import (
    GRAPH,
    TOKENIZER,
    Artefact,
    Golden,
    Manifest,
    Parity,
    Prompts,
    file_sha256,
    model_id,
    write_manifest,
)
from tokenizers import models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "find", ":", "a", "quiet", "film", "about", "brothers"]
MAX_TOKENS = 8

MakeArtefact = Callable[[Prompts], Artefact]


@pytest.fixture
def make_artefact(tmp_path: Path) -> MakeArtefact:
    def make(prompts: Prompts) -> Artefact:
        (tmp_path / GRAPH).write_bytes(b"a graph")
        _tokenizer().save(str(tmp_path / TOKENIZER))
        files = {name: file_sha256(tmp_path / name) for name in (GRAPH, TOKENIZER)}
        manifest = Manifest(
            model_id=model_id("tiny", prompts=prompts, max_tokens=MAX_TOKENS, files=files),
            source="tiny",
            source_sha256="0" * 64,
            dimension=4,
            max_tokens=MAX_TOKENS,
            pooling="mean",
            precision="nbits8",
            prompts=prompts,
            files=files,
            tools={"onnx": "1"},
            calibration_texts=0,
            parity=Parity(texts=2, cosine_mean=1.0, cosine_min=0.99, top10_overlap=0.95),
            reduction=None,
            golden=[Golden("a film", "item", np.array([0.6, 0.8, 0, 0], np.float32))],
        )
        write_manifest(tmp_path, manifest)
        return Artefact(tmp_path, manifest)

    return make


@pytest.fixture
def artefact_on_disk(make_artefact: MakeArtefact) -> Artefact:
    return make_artefact(Prompts(query="find: ", item=""))


def _tokenizer() -> tokenizers.Tokenizer:
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer
