"""Which encoding the bytes of a text are in, where nobody says so."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from longtail.client.importing.rows import FileError

UTF8 = "utf-8"
# As much of what is no UTF-8 as is looked at.
SAMPLE_BYTES = 2**18
# Longer marks first: that of UTF-32 begins as that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Shares of what there is nearly always, and hardly ever.
MOST, FEW = 0.7, 0.1
# The share of zero bytes from which on it is no text; damage may leave some in one.
BINARY = 0.01
# Those that files come in; more of them would find more in a short text than there is.
_USUAL = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "gb18030", "big5",
    "cp932", "euc_jp", "cp949",
]  # fmt: skip
# What a letter of one byte is in: a text in which no two such follow each other has no others.
_SINGLE = [name for name in _USUAL if name.startswith("cp125")]
_RUN = re.compile(rb"[\x80-\xff]{2}")
# A short text in one of these reads as well in the other. The most used one is taken where the
# language does not say better.
_LATIN = {"cp1250", "cp1254"}
_CENTRAL = {"Polish", "Czech", "Slovak", "Hungarian", "Croatian", "Slovene", "Romanian", "Turkish"}
# Korean has hardly any ideographs, and Japanese hardly any half-width letters.
_KOREAN, _JAPANESE, _RUSSIAN = "cp949", "cp932", "koi8_r"


def known(name: str) -> str:
    """Return the encoding that a name stands for; FileError when there is none."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise FileError(f"there is no encoding {name!r}") from None


def encoding_of(text: BinaryIO) -> tuple[str, str]:
    """Return the encoding of a text, and how it was found where that is to be told, else "".

    UTF-8 where a mark says so, or where no more lines deny it than show it; those that do are bad.
    """
    begins = text.read(SAMPLE_BYTES)
    for mark, name in _MARKS:
        if begins.startswith(mark):
            return name, "" if name == "utf-8-sig" else f"read as {name.upper()}, as its mark says"
    unmarked = _without_mark(begins)
    if unmarked:
        return unmarked, f"read as {unmarked.upper()}: every other byte is zero"
    if begins.count(0) > BINARY * len(begins):
        raise FileError("neither text nor Parquet")
    sound, unsound, denying = 0, 0, bytearray()
    for line in _lines(begins, text):
        if line.isascii():
            continue
        if _is_utf8(line):
            sound += 1
        else:
            unsound += 1
            if len(denying) < SAMPLE_BYTES:
                denying += line + b"\n"
    return (UTF8, "") if unsound <= sound else _guessed(bytes(denying))


def _lines(begins: bytes, text: BinaryIO) -> Iterator[bytes]:
    held, block = [b""], begins
    while block:
        first, *others = block.split(b"\n")
        held.append(first)
        if others:
            yield b"".join(held)
            yield from others[:-1]
            held = others[-1:]
        block = text.read(SAMPLE_BYTES)
    yield b"".join(held)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(begins: bytes) -> str:
    """Return which UTF-16 a text is whose every other byte is zero, as of Latin letters; or ""."""
    sample = begins[:1024]
    half = len(sample) / 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > MOST * half and even < FEW * half:
        return "utf-16-le"
    if even > MOST * half and odd < FEW * half:
        return "utf-16-be"
    return ""


def _guessed(lines: bytes) -> tuple[str, str]:
    # Takes a while to import, which a file in UTF-8 need not pay.
    from charset_normalizer import from_bytes

    likely = _USUAL if _RUN.search(lines) else _SINGLE
    best = from_bytes(lines, cp_isolation=likely).best()
    if best is None:
        raise FileError("it is no UTF-8: say with --encoding what it is")
    name = best.encoding
    if (
        name == _JAPANESE
        and _share(str(best), "\uff61", "\uff9f") > FEW
        and _decodes(lines, _RUSSIAN)
    ):
        name = _RUSSIAN
    elif (
        name == _KOREAN
        and _share(str(best), "\u4e00", "\u9fff") > FEW
        and _decodes(lines, "gb18030")
    ):
        name = "gb18030"
    elif name in _LATIN and best.language not in _CENTRAL and _decodes(lines, "cp1252"):
        name = "cp1252"
    return name, f"read as {name}, which is a guess: say with --encoding if it is another"


def _share(text: str, first: str, last: str) -> float:
    """Return the share of the letters `first` to `last` in what is beyond ASCII in a text."""
    letters = [letter for letter in text if not letter.isascii()]
    return sum(first <= letter <= last for letter in letters) / max(1, len(letters))


def _decodes(lines: bytes, name: str) -> bool:
    try:
        lines.decode(name)
    except UnicodeDecodeError:
        return False
    return True
