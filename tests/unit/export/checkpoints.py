"""Tiny random checkpoints on disk, as sentence-transformers would have saved them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

TEXTS = [
    "a quiet film about two brothers",
    "two loud films",
    "the shop at the corner sells old maps",
    "maps",
    "a film, a shop and a map: about brothers who sell old films at the corner",
    "Old maps of the quiet corner",
    "brothers sell the shop",
    "quiet quiet quiet quiet quiet quiet",
]
PROMPTS = {"query": "find the ", "passage": "about the "}
POSITIONS = 24
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write(
    folder: Path,
    *,
    pooling: str = "mean_tokens",
    prompts: Mapping[str, str] | None = None,
    model_type: str = "bert",
    modules: tuple[str, ...] = ("Transformer", "Pooling", "Normalize"),
    max_seq_length: int | None = 16,
) -> Path:
    """Write a checkpoint of two layers whose weights are the same at every call."""
    tokenizer = _tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    if model_type == "distilbert":
        sizes = {"dim": 32, "hidden_dim": 64, "n_heads": 4, "n_layers": 2}
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tokenizer),
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
        **{"num_hidden_layers": 2, **sizes},
        # Weights as small as the usual ones would leave all vectors nearly the same.
        initializer_range=0.2,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    entries = [
        {"path": paths.get(name, name), "type": f"sentence_transformers.models.{name}"}
        for name in modules
    ]
    dump(folder / "modules.json", entries)
    dump(folder / "1_Pooling" / "config.json", {f"pooling_mode_{pooling}": True})
    dump(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length})
    if prompts is not None:
        dump(folder / "config_sentence_transformers.json", {"prompts": dict(prompts)})
    return folder


def dump(path: Path, document: Any) -> None:  # noqa: ANN401
    """Write a JSON file and the folder that it is in."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def _tokenizer() -> PreTrainedTokenizerFast:
    words = sorted({word.strip(",:") for text in TEXTS for word in text.lower().split()})
    vocabulary = {word: i for i, word in enumerate([*_SPECIAL, *words, "find", "##s", ",", ":"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )
