"""A small encoder of chance, and queries whose one word that counts stands among idle ones."""

import csv
import json
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

WORDS = [f"w{number}" for number in range(60)]
# What queries are full of, and says nothing.
IDLE = [f"i{number}" for number in range(4)]
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def checkpoint(folder: Path, spread: float = 0.02) -> Path:
    """Write a checkpoint of two layers, as sentence-transformers has them.

    `spread` of the weights: where it is small, layers hardly move anything.
    """
    torch.manual_seed(0)
    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*MARKS, *WORDS, *IDLE]) + "\n")
    config = BertConfig(
        vocab_size=len(MARKS) + len(WORDS) + len(IDLE),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=spread,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(vocabulary), model_max_length=32).save_pretrained(folder)
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{name}"}
        for at, (name, path) in enumerate((("Transformer", ""), ("Pooling", "1_Pooling")))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_mean_tokens": True})
    )
    return folder


def catalogue(folder: Path) -> Path:
    """Write items of two words each, queries for one of them, and likes."""
    folder.mkdir()
    idle = " ".join(IDLE)
    _write(
        folder / "items.csv",
        ("item_id", "title", "text"),
        [(str(at), word, f"{word} {WORDS[(7 * at + 3) % 60]}") for at, word in enumerate(WORDS)],
    )
    _write(
        folder / "queries.csv",
        ("query_id", "query"),
        [(str(at), f"{idle} {IDLE[at % 4]} {idle} {word}") for at, word in enumerate(WORDS)],
    )
    _write(
        folder / "relevance.csv", ("query_id", "item_id"), [(str(at), str(at)) for at in range(60)]
    )
    _write(
        folder / "interactions.csv",
        ("user_id", "item_id", "rating", "timestamp"),
        [
            (str(user), str((3 * user + step) % 60), "5", str(step))
            for user in range(20)
            for step in range(6)
        ],
    )
    return folder


def _write(file: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        lines = csv.writer(opened)
        lines.writerow(columns)
        lines.writerows(rows)
