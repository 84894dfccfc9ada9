"""Load the encoder where the settings say, in the layout that suits the device."""

from collections.abc import Callable, Sequence

from longtail.worker import capacity, model
from longtail.worker.artefact import GRAPH, TOKENIZER, Artefact, ArtefactError
from longtail.worker.batcher import Infer
from longtail.worker.devices import Device, DeviceChoice, DeviceError, parse_device
from longtail.worker.encoder_pool import EncoderPool
from longtail.worker.settings import WorkerSettings
from longtail.worker.tokenizer import Role, Tokenizer, TokenizerFailed
from longtail.worker.vectors import TokenIds

# One batch is computed while the next one is copied.
_GPU_SLOTS = 2
# Padded tokens in one inference. On a CPU more make no text cheaper; a GPU is idle with less.
_CPU_BATCH_TOKENS, _GPU_BATCH_TOKENS = 256, 16_384
# What the layouts are measured with: short texts of one length, as a batch under load is.
_PROBE_TEXTS, _PROBE_TOKENS = 8, 24


def load(artefact: Artefact, settings: WorkerSettings) -> EncoderPool:
    """Return the encoders, with as many slots as they take batches at once.

    What the settings leave open is measured on a CPU. Raises ArtefactError and DeviceError.
    """
    choice = parse_device(settings.device)
    gpu_bytes = settings.gpu_mb * 2**20 or None
    first = settings.threads or 1
    encoders = model.load(artefact, choice, threads=first, gpu_bytes=gpu_bytes)
    if encoders[0].placement.device != "cpu":
        return EncoderPool(encoders, settings.slots or _GPU_SLOTS)
    loaded = {first: encoders}

    def on_cpu(threads: int) -> list[model.Encoder]:
        # What the probe tries and what is taken are one and the same session.
        if threads not in loaded:
            loaded[threads] = model.load(artefact, DeviceChoice(Device.CPU), threads=threads)
        return loaded[threads]

    try:
        slots, threads = _layout(artefact, settings, lambda threads: on_cpu(threads)[0].encode)
    except (ArtefactError, DeviceError):
        raise
    except Exception as error:  # the library raises nothing narrower
        raise ArtefactError(f"{artefact.folder / GRAPH}: does not run: {error}") from error
    return EncoderPool(on_cpu(threads), slots)


def batch_tokens(settings: WorkerSettings, encoders: EncoderPool) -> int:
    """Return the padded tokens in one inference: as set, or what suits the device."""
    if settings.batch_tokens:
        return settings.batch_tokens
    on_cpu = encoders.placements[0].device == "cpu"
    return _CPU_BATCH_TOKENS if on_cpu else _GPU_BATCH_TOKENS


def _layout(
    artefact: Artefact, settings: WorkerSettings, load: Callable[[int], Infer]
) -> tuple[int, int]:
    """Return slots and threads; when one of them is set, the other takes the cores it leaves."""
    cores = capacity.cores()
    if settings.slots:
        return settings.slots, settings.threads or max(1, cores // settings.slots)
    if settings.threads:
        return max(1, cores // settings.threads), settings.threads
    best = capacity.probe(load, cores, _typical(artefact))
    return best.slots, best.threads


def _typical(artefact: Artefact) -> Sequence[TokenIds]:
    """Return a batch of real tokens, from the longest golden text."""
    longest = max((golden.text for golden in artefact.manifest.golden), key=len)
    try:
        (tokens,) = Tokenizer(artefact).tokenise([longest], Role.ITEM)
    except TokenizerFailed as error:
        raise ArtefactError(f"{artefact.folder / TOKENIZER}: {error}") from error
    return [tokens.ids[:_PROBE_TOKENS]] * _PROBE_TEXTS
