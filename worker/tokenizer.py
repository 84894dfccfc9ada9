"""Texts to token ids: the role's prompt in front, cut at the encoder's limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import tokenizers

from worker.artefact import TOKENIZER, Artefact, ArtefactError
from worker.vectors import TokenIds


class Role(Enum):
    """How a text will be used; the values are the names in the manifest."""

    QUERY = "query"
    ITEM = "item"


@dataclass(frozen=True)
class Tokens:
    """One tokenised text; `truncated` says that its end did not fit."""

    ids: TokenIds
    truncated: bool


class Tokenizer:
    """The encoder's own tokenizer. Safe to call from several threads: it is never changed."""

    def __init__(self, artefact: Artefact) -> None:
        manifest = artefact.manifest
        self._tokenizer = _read(artefact.folder / TOKENIZER)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest.max_tokens)
        self._prompts = {Role.QUERY: manifest.prompts.query, Role.ITEM: manifest.prompts.item}

    def tokenise(self, texts: Sequence[str], role: Role) -> list[Tokens]:
        """Return the tokens of each text, at least one and at most `max_tokens` of them."""
        prompt = self._prompts[role]
        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        return [Tokens(encoding.ids, bool(encoding.overflowing)) for encoding in encodings]


def _read(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ArtefactError(f"{path}: {error}") from error
