"""The whole worker over gRPC against its own bare runtime, and against what others run."""

from collections.abc import Mapping, Sequence

import numpy as np
from longtail.export import parity
from longtail.worker.tokenizer import Role

from bench import infinity, sentence_transformers
from bench.closed_loop import grpc_calls, http_posts
from bench.figures import Measured, NotRun, at_least, ratio
from bench.generator import checked, requests_of
from bench.processes import Service, worker
from bench.section import NO_CACHE, Bench, Section

_SINGLES, _BATCHES = "32 callers, one text a call", "8 callers, 32 texts a call"
_INFINITY, _TRANSFORMERS = "against infinity, 32 x 1 text", "against encode(), 8 x 32 texts"
_CALLERS, _BATCH_CALLERS, _BATCH = 32, 8, 32
# int8 is less near to fp32 than ours is; another encoder would be far from both.
_SAME_ENCODER = 0.9


def _rate(bench: Bench, running: Service, texts: Sequence[str], per_call: int) -> float:
    """Return the worker's texts per second, each text sent once."""
    requests = requests_of(texts, per_call)
    callers = _CALLERS if per_call == 1 else _BATCH_CALLERS
    outcome = checked(bench.generator.run(grpc_calls, running.address, requests, callers))
    return len(texts) / outcome.seconds


def _own(bench: Bench) -> Mapping[str, Measured]:
    texts = bench.corpora.one_lines
    batches = bench.bare.batches(texts)
    bare, singles, calls = [], [], []
    with worker(bench.artefact, bench.out, **NO_CACHE) as running:
        _rate(bench, running, texts, 1)
        for _ in bench.turns("gRPC against the bare runtime"):
            bare.append(bench.bare.rate(batches))
            singles.append(_rate(bench, running, texts, 1))
            calls.append(_rate(bench, running, texts, _BATCH))
    return {
        _SINGLES: ratio(singles, bare, "texts/s", percent=True),
        _BATCHES: ratio(calls, bare, "texts/s", percent=True),
    }


def _infinity(bench: Bench) -> Mapping[str, Measured]:
    texts = bench.corpora.one_lines
    bodies = infinity.bodies_of(texts)
    ours, theirs = [], []
    with (
        infinity.serving(bench.checkpoint, bench.out, bench.say) as address,
        worker(bench.artefact, bench.out, **NO_CACHE) as running,
    ):
        _check_same_encoder(bench, address)

        def post() -> float:
            arguments = (address, infinity.PATH, bodies, _CALLERS)
            outcome = checked(bench.generator.run(http_posts, *arguments))
            return len(texts) / outcome.seconds

        _rate(bench, running, texts, 1)
        post()
        for _ in bench.turns("against infinity"):
            ours.append(_rate(bench, running, texts, 1))
            theirs.append(post())
    return {_INFINITY: ratio(ours, theirs, "texts/s", percent=False)}


def _check_same_encoder(bench: Bench, address: str) -> None:
    texts = bench.corpora.one_lines[:8]
    ours = parity.encode(bench.bare.encoder, bench.bare.tokenizer, texts, Role.ITEM)
    theirs = bench.generator.run(infinity.vectors_of, address, texts)
    cosine = float(np.sum(ours * theirs, axis=1).min())
    # Written so that NaN, which compares false with everything, fails too.
    if not cosine >= _SAME_ENCODER:
        raise NotRun(f"infinity's vectors are not ours: cosine {cosine:.3f}")


def _transformers(bench: Bench) -> Mapping[str, Measured]:
    texts = bench.corpora.one_lines
    ours, theirs = [], []
    folder, out = bench.checkpoint_folder, bench.out
    with (
        sentence_transformers.encoding(folder, out, bench.say) as encode,
        worker(bench.artefact, out, **NO_CACHE) as running,
    ):
        _rate(bench, running, texts, _BATCH)
        encode(texts)
        for _ in bench.turns("against sentence-transformers"):
            ours.append(_rate(bench, running, texts, _BATCH))
            theirs.append(len(texts) / encode(texts))
    return {_TRANSFORMERS: ratio(ours, theirs, "texts/s", percent=False)}


SECTIONS = [
    Section(
        5,
        "over gRPC against the bare runtime",
        {_SINGLES: at_least(75, "%"), _BATCHES: at_least(92, "%")},
        _own,
    ),
    Section(6, "against infinity", {_INFINITY: at_least(2.3, "x")}, _infinity),
    Section(7, "against sentence-transformers", {_TRANSFORMERS: at_least(4.3, "x")}, _transformers),
]
