"""The artefact against fp32 on the bare runtime: how much faster, how near, how large."""

from collections.abc import Mapping, Sequence

from longtail.export import parity
from longtail.worker.artefact import Parity
from longtail.worker.tokenizer import Role

from bench.bare import Bare
from bench.figures import Measured, at_least, at_most, ratio, single
from bench.section import Bench, Section

_FASTER_LINES, _FASTER_PLOTS = "rate against fp32, one-line", "rate against fp32, plots"
_OVERLAP_LINES, _OVERLAP_PLOTS = "top-10 shared with fp32, one-line", "top-10 shared, plots"
_COSINE = "least cosine with fp32"
_SIZE = "size of the artefact"


def _speed(bench: Bench) -> Mapping[str, Measured]:
    corpora = bench.corpora
    return {
        _FASTER_LINES: _compare(bench, corpora.one_lines, "one-line"),
        _FASTER_PLOTS: _compare(bench, corpora.plots, "plots"),
    }


def _compare(bench: Bench, texts: Sequence[str], name: str) -> Measured:
    sides = [(encoder, encoder.batches(texts)) for encoder in (bench.bare, bench.fp32)]
    for encoder, batches in sides:
        encoder.rate(batches)
    rates = [
        [encoder.rate(batches) for encoder, batches in sides]
        for _ in bench.turns(f"artefact against fp32 on {name}")
    ]
    ours, theirs = zip(*rates, strict=True)
    return ratio(ours, theirs, "texts/s", percent=False)


def _likeness(bench: Bench) -> Mapping[str, Measured]:
    bench.say("likeness to fp32")
    lines = _parity(bench.bare, bench.fp32, bench.corpora.one_lines)
    plots = _parity(bench.bare, bench.fp32, bench.corpora.plots)
    least = min(lines.cosine_min, plots.cosine_min)
    return {
        _OVERLAP_LINES: single(lines.top10_overlap, lines.texts),
        _OVERLAP_PLOTS: single(plots.top10_overlap, plots.texts),
        _COSINE: single(least, lines.texts + plots.texts, "one-line and plots"),
    }


def _parity(ours: Bare, theirs: Bare, texts: Sequence[str]) -> Parity:
    vectors = [
        parity.encode(side.encoder, side.tokenizer, texts, Role.ITEM) for side in (ours, theirs)
    ]
    return parity.measure(*vectors)


def _size(bench: Bench) -> Mapping[str, Measured]:
    files = [path for path in bench.bare.folder.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    return {_SIZE: single(size, len(files), ", ".join(sorted(path.name for path in files)))}


SECTIONS = [
    Section(
        1,
        "artefact against fp32, bare runtime",
        {_FASTER_LINES: at_least(2.3, "x"), _FASTER_PLOTS: at_least(2.1, "x")},
        _speed,
    ),
    Section(
        2,
        "likeness to fp32",
        {
            _OVERLAP_LINES: at_least(0.975, ""),
            _OVERLAP_PLOTS: at_least(0.965, ""),
            _COSINE: at_least(0.999, ""),
        },
        _likeness,
    ),
    Section(4, "size", {_SIZE: at_most(30, "MB")}, _size),
]
