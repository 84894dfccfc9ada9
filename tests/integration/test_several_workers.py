"""The real server with several real workers: shared work, failures, and one of another encoder."""

import dataclasses
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import pytest
from grpc_health.v1 import health_pb2
from longtail.client import LongtailClient, LongtailError
from longtail.v1 import item_pb2
from longtail.worker.artefact import load, model_id, write_manifest

from tests import processes
from tests.films import films

pytestmark = pytest.mark.model

RECOMMENDATION = "longtail.v1.RecommendationService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True)
class Worker:
    """A worker process, and where it counts its calls."""

    running: processes.Running
    metrics: str

    @property
    def address(self) -> str:
        return self.running.address

    def calls(self) -> float:
        """Return how many Embed calls it has answered."""
        with urlopen(f"http://{self.metrics}/metrics", timeout=30) as reply:
            lines: list[str] = reply.read().decode().splitlines()
        counted = [line for line in lines if line.startswith("longtail_rpc_total{")]
        return sum(
            float(line.split()[-1]) for line in counted if '"EmbeddingService/Embed"' in line
        )


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path, artefact: Path) -> Iterator[StartWorker]:
    """Return a function that starts a worker and waits until it serves."""
    started: list[processes.Running] = []

    def start(folder: Path = artefact, address: str = "") -> Worker:
        address, metrics = address or processes.free_address(), processes.free_address()
        variables = processes.environment(
            tmp_path,
            LONGTAIL_WORKER_ADDRESS=address,
            LONGTAIL_WORKER_METRICS_ADDRESS=metrics,
            LONGTAIL_MODEL=str(folder),
            LONGTAIL_WORKER_SLOTS="1",
        )
        log = tmp_path / f"worker-{len(started)}.log"
        running = processes.Running(
            processes.start("longtail.worker", log, variables), address, log
        )
        started.append(running)
        return Worker(processes.wait_until_serving(running), metrics)

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture
def other_encoder(tmp_path: Path, artefact: Path) -> Path:
    """Return the default encoder with a shorter limit, which makes it another one."""
    folder = Path(shutil.copytree(artefact, tmp_path / "other"))
    manifest = load(folder).manifest
    changed = model_id("other", prompts=manifest.prompts, max_tokens=128, files=manifest.files)
    write_manifest(folder, dataclasses.replace(manifest, max_tokens=128, model_id=changed))
    return folder


def health(server: processes.Running) -> int:
    return processes.health(server.address, RECOMMENDATION)


def query(client: LongtailClient, number: int) -> str:
    """Ask for a film in words that were not used before; return the best one."""
    reply = client.recommend(query=f"a robot alone in space, take {number}", page_size=1)
    assert not reply.degraded
    return reply.results[0].item_id


def test_workers_share_queries_and_imports(start_worker: StartWorker, tmp_path: Path) -> None:
    workers = [start_worker(), start_worker()]
    addresses = ",".join(worker.address for worker in workers)
    with (
        processes.server(tmp_path, addresses) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        before = [worker.calls() for worker in workers]
        assert {query(client, number) for number in range(10)} == {"wall-e"}
        queried = [worker.calls() for worker in workers]
        assert [after - earlier for after, earlier in zip(queried, before, strict=True)] == [5, 5]
        many = [item_pb2.Item(id=f"{n}", title=f"Number {n}") for n in range(600)]
        client.upsert_items(many, timeout=60)
        imported = [worker.calls() for worker in workers]
        assert all(after > earlier for after, earlier in zip(imported, queried, strict=True))
        assert client.catalog_stats().item_count == len(films()) + 600


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_no_query_is_lost_with_a_worker(
    start_worker: StartWorker, tmp_path: Path, number: signal.Signals
) -> None:
    leaving, staying = start_worker(), start_worker()
    addresses = f"{leaving.address},{staying.address}"
    with (
        processes.server(tmp_path, addresses) as running,
        LongtailClient(running.address) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        client.upsert_items(films())
        answers = [threads.submit(query, client, n) for n in range(200)]
        answers[20].result()
        leaving.running.stop(number)
        assert {answer.result() for answer in answers} == {"wall-e"}
        assert health(running) == SERVING
        again = start_worker(address=leaving.address)
        # The server remembers a text that was encoded, and would not ask for it again.
        fresh = count(1000)
        processes.wait_until(
            lambda: query(client, next(fresh)) == "wall-e" and again.calls() > 0, running.log
        )


def test_the_server_serves_again_when_a_worker_comes_back(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    workers = [start_worker(), start_worker()]
    addresses = ",".join(worker.address for worker in workers)
    with (
        processes.server(tmp_path, addresses) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        for worker in workers:
            assert health(running) == SERVING
            worker.running.stop(signal.SIGKILL)
        processes.wait_until(lambda: health(running) == NOT_SERVING, running.log)
        with pytest.raises(LongtailError) as caught:
            client.recommend(query="space")
        assert caught.value.code.name == "UNAVAILABLE"
        start_worker(address=workers[1].address)
        processes.wait_until(lambda: health(running) == SERVING, running.log)
        assert query(client, 0) == "wall-e"


def test_a_worker_with_another_encoder_is_never_used(
    start_worker: StartWorker, artefact: Path, other_encoder: Path, tmp_path: Path
) -> None:
    right, wrong = start_worker(), start_worker(other_encoder)
    with processes.server(tmp_path, right.address) as running:
        running.stop()
    addresses = f"{wrong.address},{right.address}"
    with (
        processes.server(tmp_path, addresses) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        assert {query(client, number) for number in range(6)} == {"wall-e"}
        # It may be found after the other one has answered.
        processes.wait_until(lambda: "worker not used" in running.log.read_text(), running.log)
        lines = running.log.read_text().splitlines()
        refusal = next(line for line in lines if "worker not used" in line)
        assert wrong.address in refusal
        for folder in (artefact, other_encoder):
            assert load(folder).manifest.model_id in refusal
        right.running.stop(signal.SIGKILL)
        processes.wait_until(lambda: health(running) == NOT_SERVING, running.log)
        with pytest.raises(LongtailError) as caught:
            client.recommend(query="space")
        assert caught.value.code.name == "UNAVAILABLE"
    assert wrong.calls() == 0
