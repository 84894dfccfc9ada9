"""Graphs and the tokenizer run by the worker's own code, before there is an artefact to load."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import onnx
import tokenizers
from longtail.export import fp32
from longtail.export.checkpoint import Checkpoint
from longtail.worker import model as worker_model
from longtail.worker.artefact import GRAPH, TOKENIZER, Artefact, Manifest, Parity
from longtail.worker.devices import Device, DeviceChoice
from longtail.worker.model import Encoder
from longtail.worker.tokenizer import Role, Tokenizer
from longtail.worker.vectors import TokenIds
from onnx import ModelProto
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast


class Draft:
    """A checkpoint's tokenizer as it will be shipped, and graphs as a worker on a CPU runs them."""

    def __init__(
        self, checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerFast, folder: Path
    ) -> None:
        self._checkpoint, self._folder = checkpoint, folder
        self._graphs = itertools.count()
        _write_tokenizer(tokenizer, checkpoint, folder / TOKENIZER)
        self.tokenizer_file = folder / TOKENIZER
        self.tokenizer = Tokenizer(Artefact(folder, self._manifest(dimension=1)))

    def ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the token ids of each text as an item."""
        return [tokens.ids for tokens in self.tokenizer.tokenise(texts, Role.ITEM)]

    def encoder(self, graph: ModelProto) -> Encoder:
        """Return `graph` as the worker runs it."""
        folder = self._folder / f"graph-{next(self._graphs)}"
        folder.mkdir()
        onnx.save(graph, folder / GRAPH)
        dimension = graph.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
        artefact = Artefact(folder, self._manifest(dimension))
        (encoder,) = worker_model.load(artefact, DeviceChoice(Device.CPU))
        return encoder

    def _manifest(self, dimension: int) -> Manifest:
        """Return what is known before anything is measured.

        A precision is a promise of what runs where; these graphs are those that run on the CPU.
        """
        return Manifest(
            model_id="draft",
            source=self._checkpoint.source,
            source_sha256="",
            dimension=dimension,
            max_tokens=self._checkpoint.max_tokens,
            pooling="",
            precision=fp32.PRECISION,
            prompts=self._checkpoint.prompts,
            files={},
            tools={},
            calibration_texts=0,
            parity=Parity(texts=0, cosine_mean=0, cosine_min=0, top10_overlap=0),
            reduction=None,
            golden=(),
        )


def _write_tokenizer(
    tokenizer: PreTrainedTokenizerFast, checkpoint: Checkpoint, path: Path
) -> None:
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    # Both belong to the worker: it pads each batch by itself and cuts at max_tokens.
    backend.no_padding()
    backend.no_truncation()
    if checkpoint.lower_case:
        steps = [normalizers.Lowercase(), *filter(None, [backend.normalizer])]
        backend.normalizer = normalizers.Sequence(steps)
    backend.save(str(path))
