"""The embedding worker against its baselines: its bare runtime, infinity, sentence-transformers."""

import os
import random
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from longtail.export import checkpoint as checkpoints
from longtail.export import parity
from longtail.export.checkpoint import Checkpoint
from longtail.export.errors import ExportError
from longtail.v1 import embedding_service_pb2 as pb
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import TokenIds

from bench import context, outside
from bench.context import Bare
from bench.figures import Measured, NotRun, Sections, against, median, percentile, single
from bench.load import (
    EMBED,
    closed_loop,
    generator,
    http_posts,
    open_loop,
    requests_of,
    responses_of,
)
from bench.load import checked as checked_load
from bench.processes import Service, worker
from bench.texts import SEED, zipf_ranks
from loadtest.open_loop import Offered, Schedule

SECTIONS: Sections["Context"] = Sections()

# Callers of one text a call; of 32.
_CALLERS, _BATCH_CALLERS, _BATCH = 32, 8, 32
# int8 is less near to fp32 than ours is; another encoder would be far from both.
_SAME_ENCODER = 0.9
_OVERLOAD, _DEADLINE_SECONDS = 2.0, 0.2
# The worker may take this long to learn how fast it is, and its queue to fill.
_WARMUP_SECONDS = 3.0
_INTERACTIVE_RATE = 20.0
_HOT, _EXPONENT, _PER_ROUND = 10_000, 1.1, 4_000
# Of the batches of random shapes: the largest, and an id that every vocabulary has.
_MOST_TEXTS, _MOST_TOKENS, _LEAST_TOKENS, _TOKEN = 8, 64, 4, 100


class Context(context.Context):
    """What the sections of the worker share."""

    @cached_property
    def fp32(self) -> Bare:
        """The same checkpoint in fp32; raises NotRun when it is not at hand."""
        reference = Bare(self.options.reference)
        if reference.manifest.precision != "fp32":
            raise NotRun(f"{reference.folder} is {reference.manifest.precision}, not fp32")
        if reference.manifest.source_sha256 != self.bare.manifest.source_sha256:
            raise NotRun(f"{reference.folder} is of another checkpoint")
        return reference

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The artefact's checkpoint; raises NotRun when it is not at hand."""
        try:
            checkpoint = checkpoints.read(str(self.options.checkpoint))
            sha256 = checkpoints.weights_sha256(checkpoint)
        except (ExportError, OSError) as error:
            raise NotRun(f"the checkpoint cannot be read: {error}") from error
        if sha256 != self.bare.manifest.source_sha256:
            raise NotRun(f"{self.options.checkpoint} is another checkpoint than the artefact's")
        return checkpoint

    def worker(self, cache_mb: int = 0) -> AbstractContextManager[Service]:
        """Run a worker; vectors of texts seen before would be no measure of the encoder."""
        return worker(self.options.artefact, self.out, LONGTAIL_WORKER_CACHE_MB=str(cache_mb))

    def rate(self, running: Service, texts: Sequence[str], per_call: int = 1) -> float:
        """Return the worker's texts per second, each text sent once."""
        callers = _CALLERS if per_call == 1 else _BATCH_CALLERS
        return len(texts) / self.embed(running, texts, per_call, callers).seconds


@SECTIONS.add(
    "1",
    "artefact against fp32, bare runtime",
    "rate against fp32, one-line >= 2.3 x",
    "rate against fp32, plots >= 2.1 x",
)
def _speed(bench: Context) -> Iterator[Measured]:
    for texts in (bench.corpora.one_lines, bench.corpora.plots):
        sides = [(encoder, encoder.batches(texts)) for encoder in (bench.bare, bench.fp32)]
        for encoder, batches in sides:
            encoder.rate(batches)
        rates = [
            [encoder.rate(batches) for encoder, batches in sides]
            for _ in bench.turns("artefact against fp32")
        ]
        yield against(rates, "texts/s")


@SECTIONS.add(
    "2",
    "likeness to fp32",
    "top-10 shared with fp32, one-line >= 0.975",
    "top-10 shared, plots >= 0.965",
    "least cosine with fp32 >= 0.999",
)
def _likeness(bench: Context) -> Iterator[Measured]:
    both = []
    for texts in (bench.corpora.one_lines, bench.corpora.plots):
        vectors = [
            parity.encode(side.encoder, side.tokenizer, texts, Role.ITEM)
            for side in (bench.bare, bench.fp32)
        ]
        both.append(parity.measure(*vectors))
        yield single(both[-1].top10_overlap, len(texts))
    yield single(min(each.cosine_min for each in both), sum(each.texts for each in both))


@SECTIONS.add("3", "bit-equality over gRPC", "vectors that differ <= 0 vectors")
def _equality(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.mixture[:200]
    # Not for secrets: the batches have to be repeatable.
    shuffled = random.Random(SEED)  # noqa: S311
    batches = [shuffled.sample(texts, shuffled.randint(2, 64)) for _ in range(50)]
    known: dict[str, bytes] = {}
    compared = different = 0
    with bench.worker() as running:
        for lane in (pb.LANE_INTERACTIVE, pb.LANE_BULK):
            # The calls of several callers run into each other.
            for callers, calls in ((1, [[text] for text in texts]), (_BATCH_CALLERS, batches)):
                requests = [requests_of(call, len(call), lane)[0] for call in calls]
                load = (running.address, EMBED, requests, callers, None, True)
                responses = responses_of(bench.generator.run(closed_loop, *load))
                for call, response in zip(calls, responses, strict=True):
                    size = response.dimension * 4
                    for row, text in enumerate(call):
                        vector = response.vectors[row * size : (row + 1) * size]
                        compared += 1
                        different += known.setdefault(text, vector) != vector
    note = "200 texts alone and in 50 batches of 2 to 64, on both lanes"
    yield single(float(different), compared, note)


@SECTIONS.add("4", "size", "size of the artefact <= 30 MB")
def _size(bench: Context) -> Iterator[Measured]:
    files = [path for path in bench.bare.folder.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    yield single(size, len(files), ", ".join(sorted(path.name for path in files)))


@SECTIONS.add(
    "5",
    "over gRPC against the bare runtime",
    "32 callers, one text a call >= 67 %",
    "8 callers, 32 texts a call >= 92 %",
)
def _own(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.one_lines
    batches = bench.bare.batches(texts)
    rates = []
    with bench.worker() as running:
        bench.rate(running, texts)
        for _ in bench.turns("gRPC against the bare runtime"):
            bare = bench.bare.rate(batches)
            rates.append((bare, bench.rate(running, texts), bench.rate(running, texts, _BATCH)))
    for at in (1, 2):
        yield against([(each[at], each[0]) for each in rates], "texts/s", scale=100)


@SECTIONS.add("6", "against infinity", "against infinity, 32 x 1 text >= 2.1 x")
def _infinity(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.one_lines
    bodies = outside.bodies_of(texts)
    rates = []
    with outside.infinity(bench.checkpoint, bench.out, bench.say) as address, bench.worker() as own:
        ours = parity.encode(bench.bare.encoder, bench.bare.tokenizer, texts[:8], Role.ITEM)
        theirs = bench.generator.run(outside.vectors_of, address, texts[:8])
        cosine = float(np.sum(ours * theirs, axis=1).min())
        # Written so that NaN, which compares false with everything, fails too.
        if not cosine >= _SAME_ENCODER:
            raise NotRun(f"infinity's vectors are not ours: cosine {cosine:.3f}")

        def post() -> float:
            load = (address, outside.PATH, bodies, _CALLERS)
            return checked_load(bench.generator.run(http_posts, *load)).rate

        bench.rate(own, texts)
        post()
        for _ in bench.turns("against infinity"):
            rates.append((bench.rate(own, texts), post()))
    yield against(rates, "texts/s")


@SECTIONS.add("7", "against sentence-transformers", "against encode(), 8 x 32 texts >= 4.3 x")
def _transformers(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.one_lines
    rates = []
    folder, out = bench.options.checkpoint, bench.out
    with outside.transformers(folder, out, bench.say) as encode, bench.worker() as running:
        bench.rate(running, texts, _BATCH)
        encode(texts)
        for _ in bench.turns("against sentence-transformers"):
            rates.append((bench.rate(running, texts, _BATCH), len(texts) / encode(texts)))
    yield against(rates, "texts/s")


@SECTIONS.add("8", "one caller, one short text", "added to the bare p50 <= 1.2 ms")
def _added(bench: Context) -> Iterator[Measured]:
    short = [text for text in bench.corpora.one_lines if len(text) <= 60]
    alone, served = [], []
    with bench.worker() as running:
        for number in bench.turns("one caller, one short text"):
            start = number * 100 % (len(short) - 100)
            texts = short[start : start + 100]
            alone.append(1e3 * statistics.median(bench.bare.seconds(text) for text in texts))
            outcome = bench.embed(running, texts)
            served.append(1e3 * statistics.median(outcome.latencies))
    both = f"p50 {statistics.median(served):.2f} ms against {statistics.median(alone):.2f} ms"
    yield median([ours - theirs for ours, theirs in zip(served, alone, strict=True)], both)


@SECTIONS.add(
    "9",
    "padding on a heavy-tailed mixture",
    "waste, 32 callers, one text a call <= 10 %",
    "waste, 8 callers, 32 texts a call <= 10 %",
)
def _waste(bench: Context) -> Iterator[Measured]:
    counters = ("longtail_worker_tokens_total", "longtail_worker_padding_tokens_total")
    with bench.worker() as running:
        for per_call in (1, _BATCH):
            shares = []
            for _ in bench.turns("padding"):
                before = running.counters(*counters)
                bench.rate(running, bench.corpora.mixture, per_call)
                tokens, padding = np.subtract(running.counters(*counters), before).tolist()
                shares.append(100 * padding / (tokens + padding))
            yield median(shares)


@SECTIONS.add(
    "10",
    "interactive beside bulk",
    "added to the interactive p99 <= 40 ms",
    "bulk rate given up <= 10 %",
)
def _lanes(bench: Context) -> Iterator[Measured]:
    interactive = requests_of(bench.corpora.one_lines)
    bulk = requests_of(bench.corpora.mixture, _BATCH, pb.LANE_BULK)
    schedule = Schedule(_INTERACTIVE_RATE, bench.seconds)
    waits, rates = [], []
    with bench.worker() as running:

        def p99() -> float:
            load = (running.address, EMBED, interactive, schedule)
            return 1e3 * percentile(_answered(bench.generator.run(open_loop, *load)), 99)

        many = (running.address, EMBED, bulk, _BATCH_CALLERS, bench.seconds)
        for _ in bench.turns("lanes"):
            idle, full = p99(), bench.generator.ask(*many).rate
            beside = bench.other.start(closed_loop, *many)
            waits.append((p99(), idle))
            rates.append((checked_load(beside.result()).rate, full))
    busy, idle = np.median(waits, axis=0)
    added = [busy - idle for busy, idle in waits]
    yield median(added, f"p99 {busy:.1f} against {idle:.1f} ms, at {_INTERACTIVE_RATE:g}/s")
    less, full = _BATCH * np.median(rates, axis=0)
    given_up = [100 * (1 - less / full) for less, full in rates]
    yield median(given_up, f"{less:,.0f} of {full:,.0f} texts/s left")


@SECTIONS.add(
    "11",
    "twice the capacity offered, 200 ms deadline",
    "answers in time, of capacity >= 88 %",
    "p50 of a refusal <= 3 ms",
    "p99 of a refusal <= 20 ms",
)
def _overload(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.mixture
    requests = requests_of(texts)
    shares: list[float] = []
    every: list[Offered[None]] = []
    with bench.worker() as running:
        bench.rate(running, texts)
        for _ in bench.turns("overload"):
            capacity = bench.rate(running, texts)
            schedule = Schedule(_OVERLOAD * capacity, bench.seconds, _WARMUP_SECONDS)
            load = (running.address, EMBED, requests, schedule, _DEADLINE_SECONDS)
            offered = bench.generator.run(open_loop, *load)
            every += offered
            in_time = sum(each.latency <= _DEADLINE_SECONDS for each in offered if not each.error)
            shares.append(100 * in_time / bench.seconds / capacity)
    errors = {each.error for each in every} - {""}
    told = ", ".join(f"{sum(each.error == name for each in every):,} {name}" for name in errors)
    lag = 1e3 * percentile([each.lag for each in every], 99)
    note = f"{len(every):,} offered, {told}; p99 of the generator's own lag {lag:.1f} ms"
    yield median(shares, note)
    refused = [each.ended - each.sent for each in every if each.error == "RESOURCE_EXHAUSTED"]
    for percent in (50, 99):
        yield single(1e3 * percentile(refused, percent), len(refused), "seen by the caller")


@SECTIONS.add("12", "hot texts", "Zipf 1.1 over 10,000 texts, against distinct >= 3 x")
def _hot(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.more_one_lines
    warmup = bench.options.rounds * _PER_ROUND
    hot, fresh = texts[:_HOT], texts[_HOT : _HOT + warmup]
    if len(fresh) < warmup:
        raise NotRun("so many rounds want more distinct texts than there are")
    draw = np.random.default_rng(SEED)
    rates = []
    # With the cache that a worker has unless told otherwise.
    with worker(bench.options.artefact, bench.out) as running:

        def of_hot(count: int) -> float:
            ranks = zipf_ranks(_HOT, _EXPONENT, count, draw)
            return bench.rate(running, [hot[rank] for rank in ranks])

        # As many as will be measured, so that the cache is not filling up while they are.
        of_hot(warmup)
        for number in bench.turns("hot texts"):
            new = fresh[number * _PER_ROUND : (number + 1) * _PER_ROUND]
            rates.append((of_hot(_PER_ROUND), bench.rate(running, new)))
    note = f", after {warmup:,} hot texts that do not count"
    yield against(rates, "texts/s", note)


@SECTIONS.add("13", "memory", "growth of the resident memory <= 50 MB")
def _memory(bench: Context) -> Iterator[Measured]:
    folder, total = bench.options.artefact.resolve(), 2_000 if bench.options.quick else 100_000
    # In a process of its own, where nothing else takes or gives back memory.
    with generator() as alone:
        before = alone.run(encoded_shapes, folder, 200, None)
        samples = []
        for start in range(0, total, 2_000):
            samples.append(alone.run(encoded_shapes, folder, 2_000, SEED + start))
            bench.say(f"memory: {start + 2_000:,} of {total:,} batches, {samples[-1]:.0f} MB")
    note = f"from {before:.0f} MB; batches of up to {_MOST_TEXTS} x {_MOST_TOKENS} tokens"
    growth = [sample - before for sample in samples]
    yield Measured(growth[-1], total, min(growth), max(growth), note)


@SECTIONS.add("14", "start", "from start to SERVING <= 3 s")
def _start(bench: Context) -> Iterator[Measured]:
    seconds = []
    for _ in bench.turns("start"):
        with bench.worker() as running:
            seconds.append(running.start_seconds)
    yield median(seconds)


def encoded_shapes(folder: Path, count: int, seed: int | None) -> float:
    """Encode batches of random shapes, or of the largest without a seed; return memory in MB."""
    bare, threads = _loaded(folder)
    draw = np.random.default_rng(seed)
    texts = draw.integers(1, _MOST_TEXTS, count, endpoint=True)
    lengths = draw.integers(_LEAST_TOKENS, _MOST_TOKENS, count, endpoint=True)
    if seed is None:
        texts[:], lengths[:] = _MOST_TEXTS, _MOST_TOKENS
    batches: Iterator[Sequence[TokenIds]] = (
        [[_TOKEN] * tokens] * rows
        for rows, tokens in zip(texts.tolist(), lengths.tolist(), strict=True)
    )
    for _ in threads.map(bare.encoder.encode, batches):
        pass
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@cache
def _loaded(folder: Path) -> tuple[Bare, ThreadPoolExecutor]:
    return Bare(folder), ThreadPoolExecutor(len(os.sched_getaffinity(0)))


def _answered(offered: Sequence[Offered[None]]) -> list[float]:
    return [each.latency for each in offered if not each.error]
