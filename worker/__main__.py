"""`python -m worker`: build the objects, run them until told to stop."""

import argparse
import asyncio
import logging
import os
import sys

from longtail.v1.embedding_service_pb2_grpc import add_EmbeddingServiceServicer_to_server

from runtime import settings as runtime_settings
from runtime.interceptor import ServiceInterceptor
from runtime.lifecycle import HealthBoard, new_server, serve
from runtime.settings import SettingsError
from runtime.telemetry import configure_logging, start_metrics
from worker import artefact as artefacts
from worker import golden, metrics, model
from worker.artefact import Artefact, ArtefactError
from worker.batcher import Batcher
from worker.embedder import Embedder
from worker.golden import GoldenError
from worker.model import Device, DeviceError, Encoder
from worker.service import SERVICE, EmbeddingService
from worker.settings import WorkerSettings
from worker.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


def main() -> int:
    """Run the worker; return 0 after a drain, 1 for a failure, 2 for a setting of no use."""
    _parser().parse_args()
    try:
        settings = runtime_settings.load(WorkerSettings, os.environ)
        configure_logging(settings.log_level)
    except SettingsError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    # The tokenizer's own threads would compete with the inference slots for the cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        artefact = artefacts.load(settings.artefact)
        encoder = model.load(artefact, Device(settings.device))
        tokenizer = Tokenizer(artefact)
        start_metrics(settings.metrics_address)
        asyncio.run(_run(settings, artefact, encoder, tokenizer))
    except (ArtefactError, DeviceError, GoldenError, OSError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return 1
    return 0


async def _run(
    settings: WorkerSettings, artefact: Artefact, encoder: Encoder, tokenizer: Tokenizer
) -> None:
    manifest, placement = artefact.manifest, encoder.placement
    logger.info("encoder=%s provider=%s", manifest.model_id, placement.execution_provider)
    metrics.MODEL.info(
        {"model_id": manifest.model_id, "execution_provider": placement.execution_provider}
    )
    batcher = Batcher(
        encoder.encode,
        slots=settings.slots or len(os.sched_getaffinity(0)),
        batch_tokens=settings.batch_tokens,
        max_queued_tokens=settings.max_queued_tokens,
    )
    embedder = Embedder(tokenizer, batcher)
    interceptor = ServiceInterceptor(
        max_in_flight=settings.max_in_flight,
        unary_seconds=settings.unary_seconds,
        stream_seconds=settings.unary_seconds,
    )
    board = HealthBoard([SERVICE])
    server = new_server([interceptor], board)
    service = EmbeddingService(
        embedder, manifest, placement, max_queued_tokens=settings.max_queued_tokens
    )
    add_EmbeddingServiceServicer_to_server(service, server)

    async def prove() -> None:
        await golden.check(manifest.golden, embedder.embed)
        await board.set_all(True)
        # The end of a background task ends the process.
        await asyncio.Event().wait()

    await serve(
        server,
        address=settings.address,
        board=board,
        services=[SERVICE],
        background={"batcher": batcher.run(), "golden": prove()},
        drain_seconds=settings.drain_seconds,
    )


def _parser() -> argparse.ArgumentParser:
    rows = runtime_settings.describe(WorkerSettings)
    table = "\n".join(
        f"  {name} (default: {default})\n      {text}" for name, default, text in rows
    )
    return argparse.ArgumentParser(
        prog="python -m worker",
        description="Serve an exported encoder. It is set by the environment:\n\n" + table,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
