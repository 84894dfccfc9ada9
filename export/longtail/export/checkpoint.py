"""What a checkpoint says of itself: architecture, pooling, prompts and longest input.

Sentence encoders carry this in the files of sentence-transformers. What those files ask for and
this export cannot do is refused by name: a vector that leaves a step out looks like any other.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from longtail.export.errors import ExportError
from longtail.worker.artefact import Prompts, file_sha256

logger = logging.getLogger(__name__)

BERT_FAMILY = ("bert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
# These number positions from behind the padding token's id, so the rows up to it are never used.
_OFFSET_POSITIONS = ("mpnet", "roberta", "xlm-roberta")
_MODULES = ("Transformer", "Pooling", "Normalize")
# No standard says it; these are the signs that makers of such encoders leave.
_MATRYOSHKA = ("matryoshka_dimensions", "is_matryoshka")
_AGAIN = "fetch the checkpoint again"
_FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")


class Pooling(Enum):
    """How the vectors of a text's tokens become one, under sentence-transformers' names."""

    MEAN = "pooling_mode_mean_tokens"
    CLS = "pooling_mode_cls_token"
    MAX = "pooling_mode_max_tokens"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in a local folder, and all that decides its vectors beside the weights."""

    source: str
    folder: Path
    pooling: Pooling
    prompts: Prompts
    max_tokens: int
    lower_case: bool
    # Whether the beginning of a vector was trained to be a vector by itself.
    matryoshka: bool
    # To how many numbers the checkpoint itself cuts its vectors, if it does.
    truncate_dim: int | None

    @property
    def name(self) -> str:
        """Return the last part of the source."""
        return self.source.rpartition("/")[2]


def read(model: str) -> Checkpoint:
    """Read the checkpoint `model`, a local folder or a Hugging Face id, which is fetched.

    Raises ExportError when it cannot be read or asks for what this export cannot do.
    """
    root = Path(model)
    source = root.resolve().name
    if not root.is_dir():
        root, source = _fetch(model), model
    folder, pooling = _modules(root)
    config = _read_object(folder / "config.json")
    kind = config.get("model_type")
    if kind not in BERT_FAMILY:
        raise ExportError(
            f"{model}: architecture {kind!r} is not supported, only {', '.join(BERT_FAMILY)}"
        )
    if not list(folder.glob("*.safetensors")):
        raise ExportError(f"{model}: no *.safetensors; weights in other formats can run code")
    tokenizer = _read_optional(folder / "tokenizer_config.json")
    _refuse_variants(model, config, tokenizer)
    sentence = _read_optional(folder / "sentence_bert_config.json")
    settings = _read_optional(root / "config_sentence_transformers.json")
    with _understood(root / "config_sentence_transformers.json"):
        prompts, truncate_dim = _prompts(settings), settings.get("truncate_dim")
    with _understood(folder):
        max_tokens = _max_tokens(config, sentence, tokenizer)
    if not pooling.get("include_prompt", True) and (prompts.query or prompts.item):
        raise ExportError(f"{model}: pooling that leaves the prompt out is not supported")
    return Checkpoint(
        source=source,
        folder=folder,
        pooling=_pooling(model, pooling),
        prompts=prompts,
        max_tokens=max_tokens,
        lower_case=bool(sentence.get("do_lower_case", False)),
        matryoshka=bool(truncate_dim or any(config.get(sign) for sign in _MATRYOSHKA)),
        truncate_dim=truncate_dim,
    )


def weights_sha256(checkpoint: Checkpoint) -> str:
    """Return the SHA-256 of the weights; of the list of hashes when there are several files."""
    hashes = [file_sha256(path) for path in sorted(checkpoint.folder.glob("*.safetensors"))]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _refuse_variants(model: str, config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> None:
    """Refuse what goes by a supported architecture's name and is another one."""
    if "auto_map" in config or "auto_map" in tokenizer:
        raise ExportError(f"{model}: auto_map names code of its own, which is not run")
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ExportError(f"{model}: positions of type {positions!r} are not supported")
    for flag in ("is_decoder", "add_cross_attention"):
        if config.get(flag):
            raise ExportError(f"{model}: {flag} is set; decoders are not supported")


def _fetch(model: str) -> Path:
    try:
        return Path(snapshot_download(model, allow_patterns=list(_FETCHED)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"{model}: not a folder, and not to be had from Hugging Face: {reason}"
        ) from error


def _modules(root: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the transformer's folder and the pooling's configuration."""
    path = root / "modules.json"
    if not path.exists():
        logger.info("%s has no modules.json: taking the mean over the tokens", root.name)
        return root, {Pooling.MEAN.value: True}
    modules = {}
    with _understood(path):
        for module in _read_json(path):
            package, _, name = module["type"].rpartition(".")
            if package.partition(".")[0] != "sentence_transformers":
                raise ExportError(f"{path}: {module['type']} is code of its own, which is not run")
            # Inside the package, modules moved from version to version.
            modules[name] = root / module["path"]
    for name in modules:
        if name not in _MODULES:
            raise ExportError(f"{path}: module {name} is not supported, only {_MODULES}")
    if "Transformer" not in modules or "Pooling" not in modules:
        raise ExportError(f"{path}: names no Transformer or no Pooling")
    if "Normalize" not in modules:
        logger.info("%s does not normalise; its vectors are brought to unit length", root.name)
    return modules["Transformer"], _read_object(modules["Pooling"] / "config.json")


def _pooling(model: str, config: Mapping[str, Any]) -> Pooling:
    modes = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    if len(modes) != 1 or modes[0] not in {pooling.value for pooling in Pooling}:
        asked = " + ".join(modes) or "nothing that is known"
        raise ExportError(f"{model}: pooling by {asked} is not supported, only mean, cls or max")
    return Pooling(modes[0])


def _prompts(config: Mapping[str, Any]) -> Prompts:
    named = config.get("prompts") or {}
    default = named.get(config.get("default_prompt_name"), "")
    item = next((named[name] for name in ("document", "passage") if name in named), default)
    return Prompts(query=named.get("query", default), item=item)


def _max_tokens(
    config: Mapping[str, Any], sentence: Mapping[str, Any], tokenizer: Mapping[str, Any]
) -> int:
    positions = int(config["max_position_embeddings"])
    if config["model_type"] in _OFFSET_POSITIONS:
        # MPNet takes that id for 1, whatever its configuration says.
        positions -= max(1, int(config["pad_token_id"])) + 1
    # A tokenizer without a limit says 1e30, and sentence-transformers may say null.
    asked = sentence.get("max_seq_length") or tokenizer.get("model_max_length") or positions
    return min(int(asked), positions)


def _read_optional(path: Path) -> Mapping[str, Any]:
    return _read_object(path) if path.exists() else {}


def _read_object(path: Path) -> Mapping[str, Any]:
    document = _read_json(path)
    if not isinstance(document, dict):
        raise ExportError(f"{path}: is no JSON object; {_AGAIN}")
    return document


# What a checkpoint's files hold is looked at where it is used.
def _read_json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path}: {error}; {_AGAIN}") from error


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Raise ExportError, naming `path`, where a document holds another thing than is looked for."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ExportError(f"{path}: cannot be understood: {reason}; {_AGAIN}") from error
