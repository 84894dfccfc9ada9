"""The exported encoder on disk: a graph, a tokenizer and the manifest that vouches for both.

The schema belongs to its reader. The export writes through it, and the worker refuses whatever does
not match it, because a vector from the wrong graph, tokenizer or prompt is wrong without a sign.
"""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import numpy as np
from longtail.worker.vectors import Vector

T = TypeVar("T")

FORMAT_VERSION = 1
GRAPH, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "manifest.json"


class ArtefactError(Exception):
    """An artefact that cannot be trusted; the message names the file and what is wrong with it."""

    def __init__(self, message: str) -> None:
        # Libraries tell it in several lines.
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True)
class Prompts:
    """What is put in front of a text of each role."""

    query: str
    item: str


@dataclass(frozen=True)
class Parity:
    """How near the exported encoder is to its checkpoint, measured on `texts` texts.

    Where the encoder was made smaller, the checkpoint made smaller is what it is held against.
    """

    texts: int
    cosine_mean: float
    cosine_min: float
    top10_overlap: float


@dataclass(frozen=True)
class Reduction:
    """What a smaller encoder lost and gained against its whole checkpoint.

    `layers` and `dimension` are those that are left; `cosine_mean` is that of the vectors where
    they lie among the whole ones; `speedup` counts time per text, both graphs in fp32 on a CPU.
    """

    layers: int
    whole_layers: int
    dimension: int
    whole_dimension: int
    cosine_mean: float
    top10_overlap: float
    speedup: float


@dataclass(frozen=True)
class Golden:
    """A text whose vector is known; `role` is "query" or "item"."""

    text: str
    role: str
    vector: Vector


@dataclass(frozen=True)
class Manifest:
    """What the artefact is, where it came from and how good it is."""

    model_id: str
    source: str
    source_sha256: str
    dimension: int
    max_tokens: int
    pooling: str
    precision: str
    prompts: Prompts
    files: Mapping[str, str]
    tools: Mapping[str, str]
    calibration_texts: int
    parity: Parity
    reduction: Reduction | None
    golden: Sequence[Golden]


@dataclass(frozen=True)
class Artefact:
    """A folder whose files are those that the manifest names."""

    folder: Path
    manifest: Manifest


def model_id(name: str, *, prompts: Prompts, max_tokens: int, files: Mapping[str, str]) -> str:
    """Return `name` with a hash of everything that decides a vector."""
    decisive = [dataclasses.asdict(prompts), max_tokens, sorted(files.items())]
    return f"{name}@{hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into `folder`."""
    document = {"format_version": FORMAT_VERSION, **dataclasses.asdict(manifest)}
    for golden in document["golden"]:
        golden["vector"] = base64.b64encode(golden["vector"].astype("<f4").tobytes()).decode()
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load(folder: Path) -> Artefact:
    """Read the artefact in `folder` and verify every file; raise ArtefactError on any doubt."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: {error}") from error
    try:
        manifest = _manifest(_Fields(document, ""))
    except ValueError as error:
        raise ArtefactError(f"{path}: {error}") from error
    for name in (GRAPH, TOKENIZER):
        _verify(folder / name, manifest.files.get(name, ""))
    name = manifest.model_id.rpartition("@")[0]
    expected = model_id(
        name, prompts=manifest.prompts, max_tokens=manifest.max_tokens, files=manifest.files
    )
    if manifest.model_id != expected:
        raise ArtefactError(
            f"{path}: model_id is {manifest.model_id!r}, but its content gives {expected!r}"
        )
    return Artefact(folder, manifest)


def _verify(path: Path, expected: str) -> None:
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise ArtefactError(f"{path}: {error.strerror}") from error
    if actual != expected:
        raise ArtefactError(
            f"{path}: sha256 is {actual}, the manifest says {expected or 'nothing'}"
        )


class _Fields:
    """A JSON object read field by field; a ValueError names the field that cannot be used."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, dict):
            raise ValueError(f"{path or 'the document'} is not an object")
        self._document, self._path = document, path

    def get(self, name: str, *kinds: type[T]) -> T:
        value = self._document.get(name)
        # bool is an int to Python, but true is no dimension.
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(f"{self._path}{name} is missing or not a {kinds[0].__name__}")
        return value

    def positive(self, name: str) -> int:
        value = self.get(name, int)
        if value < 1:
            raise ValueError(f"{self._path}{name} is {value}, not above zero")
        return value

    def object(self, name: str) -> "_Fields":
        return _Fields(self._document.get(name), f"{self._path}{name}.")

    def objects(self, name: str) -> list["_Fields"]:
        values: list[Any] = self.get(name, list)
        return [_Fields(value, f"{self._path}{name}[{i}].") for i, value in enumerate(values)]

    def texts(self, name: str) -> dict[str, str]:
        fields = self.object(name)
        return {key: fields.get(key, str) for key in fields._document}


def _manifest(fields: _Fields) -> Manifest:
    version = fields.get("format_version", int)
    if version != FORMAT_VERSION:
        raise ValueError(f"format_version is {version}, this worker reads {FORMAT_VERSION}")
    prompts, parity = fields.object("prompts"), fields.object("parity")
    dimension = fields.positive("dimension")
    return Manifest(
        model_id=fields.get("model_id", str),
        source=fields.get("source", str),
        source_sha256=fields.get("source_sha256", str),
        dimension=dimension,
        max_tokens=fields.positive("max_tokens"),
        pooling=fields.get("pooling", str),
        precision=fields.get("precision", str),
        prompts=Prompts(query=prompts.get("query", str), item=prompts.get("item", str)),
        files=fields.texts("files"),
        tools=fields.texts("tools"),
        calibration_texts=fields.get("calibration_texts", int),
        parity=Parity(
            texts=parity.positive("texts"),
            cosine_mean=parity.get("cosine_mean", float),
            cosine_min=parity.get("cosine_min", float),
            top10_overlap=parity.get("top10_overlap", float),
        ),
        reduction=_reduction(fields),
        golden=_golden_texts(fields, dimension),
    )


def _golden_texts(manifest: _Fields, dimension: int) -> list[Golden]:
    golden = [_golden(fields, dimension) for fields in manifest.objects("golden")]
    if not golden:
        raise ValueError("golden has no text to prove the encoder by")
    return golden


def _reduction(manifest: _Fields) -> Reduction | None:
    if manifest.get("reduction", dict, NoneType) is None:
        return None
    fields = manifest.object("reduction")
    return Reduction(
        layers=fields.positive("layers"),
        whole_layers=fields.positive("whole_layers"),
        dimension=fields.positive("dimension"),
        whole_dimension=fields.positive("whole_dimension"),
        cosine_mean=fields.get("cosine_mean", float),
        top10_overlap=fields.get("top10_overlap", float),
        speedup=fields.get("speedup", float),
    )


def _golden(fields: _Fields, dimension: int) -> Golden:
    role, encoded = fields.get("role", str), fields.get("vector", str)
    if role not in ("query", "item"):
        raise ValueError(f"role of a golden text is {role!r}")
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ValueError(f"vector of a golden text: {error}") from error
    if len(content) != dimension * 4:
        raise ValueError(f"vector of a golden text has {len(content)} bytes, not {dimension * 4}")
    return Golden(text=fields.get("text", str), role=role, vector=np.frombuffer(content, "<f4"))
