"""`longtail-worker`: build the objects, run them until told to stop."""

import asyncio
import logging
import os
import sys

from longtail.runtime.command_line import Parser, add_flags, find_with_flags, write_settings
from longtail.runtime.freed_memory import share_heaps
from longtail.runtime.garbage import keep_collections_short
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.lifecycle import HealthBoard, Listener, new_server, serve
from longtail.runtime.logs import configure_logging
from longtail.runtime.metrics_server import start_metrics
from longtail.runtime.receiver import tracing_to
from longtail.runtime.settings import SettingsError, read
from longtail.runtime.tls import FollowedFiles, TlsError
from longtail.runtime.tracing import Tracer
from longtail.v1.embedding_service_pb2_grpc import add_EmbeddingServiceServicer_to_server
from longtail.worker import artefact as artefacts
from longtail.worker import golden, loading, metrics
from longtail.worker.artefact import Artefact, ArtefactError
from longtail.worker.batcher import Batcher
from longtail.worker.cache import VectorCache
from longtail.worker.devices import DeviceError
from longtail.worker.embedder import Embedder
from longtail.worker.encoder_pool import EncoderPool
from longtail.worker.golden import GoldenError
from longtail.worker.health import Health
from longtail.worker.service import SERVICE, EmbeddingService
from longtail.worker.settings import WorkerSettings
from longtail.worker.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

_SWITCH_SECONDS = 1e-4
# Of calls that come without a trace: the server decides for its own.
TRACED_UNASKED = 0.0


def main() -> int:
    """Run the worker; return 0 after a drain, 1 for a failure, 2 for a setting of no use."""
    parser = Parser("longtail-worker", "Serve an exported encoder.")
    add_flags(parser, WorkerSettings)
    options = parser.parse_args()
    try:
        given = find_with_flags(options)
        settings = read(WorkerSettings, given)
        settings.check_closed()
        if options.check:
            write_settings(settings, given)
            return 0
    except SettingsError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    # An inference that ends has to wait for the thread that serves calls to let go of the
    # interpreter; by default it may keep it for as long as a whole inference takes.
    sys.setswitchinterval(_SWITCH_SECONDS)
    share_heaps()
    keep_collections_short()
    # The tokenizer's own threads would compete with the inference slots for the cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        # What is taken is found before the encoder is loaded, and not after.
        settings.address.check()
        start_metrics(settings.metrics_address, tls=settings.tls)
        tls = None if settings.tls is None else FollowedFiles(settings.tls)
        with tracing_to(
            settings.traces_endpoint, settings.traces_ca, "longtail-worker", TRACED_UNASKED
        ) as tracer:
            artefact = artefacts.load(settings.artefact)
            encoders = loading.load(artefact, settings)
            asyncio.run(_run(settings, tls, artefact, encoders, Tokenizer(artefact), tracer))
    except SettingsError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    except (ArtefactError, GoldenError) as error:
        advice = "export it anew with longtail-export, or set LONGTAIL_MODEL to another"
        sys.stderr.write(f"worker: the encoder is of no use: {error}; {advice}\n")
        return 1
    except (DeviceError, TlsError, OSError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return 1
    return 0


async def _run(
    settings: WorkerSettings,
    tls: FollowedFiles | None,
    artefact: Artefact,
    encoders: EncoderPool,
    tokenizer: Tokenizer,
    tracer: Tracer | None,
) -> None:
    manifest, placement = artefact.manifest, encoders.placements[0]
    loaded = {
        "model_id": manifest.model_id,
        "execution_provider": placement.execution_provider,
        "devices": ",".join(each.device for each in encoders.placements),
        "slots": str(encoders.slots),
    }
    logger.info("loaded %s", " ".join(f"{name}={value}" for name, value in loaded.items()))
    metrics.MODEL.info(loaded)
    board = HealthBoard([SERVICE])
    health = Health(["batcher", "golden"], board.set_all)
    batcher = Batcher(
        encoders.encode,
        slots=encoders.slots,
        batch_tokens=loading.batch_tokens(settings, encoders),
        max_waste=settings.max_waste,
        max_queued_tokens=settings.max_queued_tokens,
        on_health=health.part("batcher"),
        tracer=tracer,
    )
    embedder = Embedder(tokenizer, batcher, VectorCache(settings.cache_mb * 2**20))
    interceptor = ServiceInterceptor(
        max_in_flight=settings.max_in_flight,
        unary_seconds=settings.unary_seconds,
        stream_seconds=settings.unary_seconds,
        batches=["EmbeddingService/Embed"],
        tracer=tracer,
    )
    server = new_server([interceptor], board)
    service = EmbeddingService(
        embedder, manifest, placement, max_queued_tokens=settings.max_queued_tokens
    )
    add_EmbeddingServiceServicer_to_server(service, server)
    # Until a slot dies, nothing is wrong with the batcher.
    await health.part("batcher")(True)
    proof = golden.watch(
        manifest.golden,
        embedder.embed_anew,
        seconds=settings.golden_seconds,
        report=health.part("golden"),
    )

    await serve(
        Listener(server, settings.address, [SERVICE]),
        board=board,
        background={"batcher": batcher.run(), "golden": proof},
        drain_seconds=settings.drain_seconds,
        tls=tls,
    )


if __name__ == "__main__":
    sys.exit(main())
