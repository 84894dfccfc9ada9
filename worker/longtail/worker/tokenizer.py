"""Texts to token ids: the role's prompt in front, cut at the encoder's limit."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import tokenizers
from longtail.worker.artefact import TOKENIZER, Artefact, ArtefactError
from longtail.worker.vectors import TokenIds


class Role(Enum):
    """How a text will be used; the values are the names in the manifest."""

    QUERY = "query"
    ITEM = "item"


class Truncation(Enum):
    """Which part of a text is cut when it has more tokens than the encoder reads."""

    END = "end"
    START = "start"
    # The end is cut here too, and the caller refuses what comes back cut.
    REFUSE = "refuse"


class TokenizerFailed(Exception):
    """The tokenizer failed on one of the texts."""


class Tokens(NamedTuple):
    """One tokenised text; `truncated` says that a part of it did not fit."""

    ids: TokenIds
    truncated: bool


class Tokenizer:
    """The encoder's own tokenizer. Safe to call from several threads: it is never changed.

    Truncation is a state of the library's tokenizer, so there is one for each way to cut.
    """

    def __init__(self, artefact: Artefact) -> None:
        manifest = artefact.manifest
        self.max_tokens = manifest.max_tokens
        self._cutting = _read(artefact.folder / TOKENIZER)
        self._whole = _alike(self._cutting)
        self._cutting.enable_truncation(self.max_tokens)
        self._prompts = {Role.QUERY: manifest.prompts.query, Role.ITEM: manifest.prompts.item}

    def tokenise(
        self, texts: Sequence[str], role: Role, truncation: Truncation = Truncation.END
    ) -> list[Tokens]:
        """Return the tokens of each text, at least one and at most `max_tokens` of them.

        Raises TokenizerFailed.
        """
        prompt = self._prompts[role]
        try:
            encodings = self._cutting.encode_batch_fast([prompt + text for text in texts])
            tokens = [Tokens(encoding.ids, bool(encoding.overflowing)) for encoding in encodings]
            if truncation is Truncation.START:
                return [
                    self._without_start(prompt, text) if cut.truncated else cut
                    for text, cut in zip(texts, tokens, strict=True)
                ]
        except BaseException as error:  # a panic of the library's Rust code is no Exception
            raise TokenizerFailed(f"{type(error).__name__}: {error}") from error
        return tokens

    def _without_start(self, prompt: str, text: str) -> Tokens:
        """Keep the prompt, the special tokens around, and as much of the text's end as fits."""
        (encoding,) = self._whole.encode_batch([prompt + text])
        ids, special, offsets = encoding.ids, encoding.special_tokens_mask, encoding.offsets
        tail = next(n for n, mark in enumerate(reversed(special)) if not mark)
        head = 0
        # A token that begins in the prompt and ends in the text belongs to the text.
        while head < len(ids) - tail and (special[head] or offsets[head][1] <= len(prompt)):
            head += 1
        # A prompt as long as the encoder reads leaves no room, and is cut itself.
        head = min(head, self.max_tokens - tail)
        rest = self.max_tokens - head
        return Tokens(ids[:head] + ids[len(ids) - rest :], truncated=True)


def _read(path: Path) -> tokenizers.Tokenizer:
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ArtefactError(f"{path}: {error}") from error
    tokenizer.no_padding()
    return tokenizer


def _alike(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Return a tokenizer that does not cut, and shares the vocabulary of `tokenizer`.

    That is by far the largest part: 280 MB for 250,000 words.
    """
    other = tokenizers.Tokenizer(tokenizer.model)
    other.normalizer = tokenizer.normalizer
    other.pre_tokenizer = tokenizer.pre_tokenizer
    other.post_processor = tokenizer.post_processor
    # In the order of their ids, which are given out anew.
    for _, token in sorted(tokenizer.get_added_tokens_decoder().items()):
        add = other.add_special_tokens if token.special else other.add_tokens
        add([token])
    return other
