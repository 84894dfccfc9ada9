"""The real server when something goes wrong: crashes, other encoders, copies, no worker."""

import shutil
import signal
import sqlite3
import urllib.request
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2
from longtail.client import LongtailClient, LongtailError, recommend_request
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from tests import processes
from tests.films import FILMS, films, liked

pytestmark = pytest.mark.model

RECOMMENDATION = "longtail.v1.RecommendationService"
INTERACTION = "longtail.v1.InteractionService"


def test_what_was_acknowledged_survives_kill_9(worker_address: str, tmp_path: Path) -> None:
    with processes.server(tmp_path, worker_address) as running:
        with LongtailClient(running.address) as client:
            client.upsert_items(films())
            client.write_interactions([liked("me", "alien")])
            client.delete_item("jaws")
            before = client.recommend(query="a robot alone in space")
        running.stop(signal.SIGKILL)
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        after = client.recommend(query="a robot alone in space")
        assert after.results == before.results
        assert after.provenance == before.provenance
        stats = client.catalog_stats()
        assert (stats.item_count, stats.interaction_count) == (len(FILMS) - 1, 1)
        assert running.stop() == 0


def test_a_second_server_on_the_same_store_is_refused(worker_address: str, tmp_path: Path) -> None:
    with processes.server(tmp_path, worker_address):
        variables = processes.environment(tmp_path, LONGTAIL_WORKER_ADDRESS=worker_address)
        log = tmp_path / "second.log"
        process = processes.start("longtail.server", log, variables)
        assert process.wait(processes.PATIENCE_SECONDS) == 1
        assert "another server runs on" in log.read_text()


def test_a_catalogue_of_another_encoder_waits_for_its_own(
    worker_address: str, tmp_path: Path
) -> None:
    with processes.server(tmp_path, worker_address) as running:
        running.stop()
    (tmp_path / "data" / "longtail.db.checksum").unlink()
    with sqlite3.connect(tmp_path / "data" / "longtail.db") as database:
        database.execute("UPDATE encoders SET model_id = 'another@0'")
    with processes.server(tmp_path, worker_address, service=INTERACTION) as running:
        processes.wait_until(lambda: "RebuildIndex" in running.log.read_text(), running.log)
        serving = health_pb2.HealthCheckResponse.SERVING
        assert processes.health(running.address, RECOMMENDATION) != serving
        with LongtailClient(running.address) as client, pytest.raises(LongtailError) as caught:
            client.recommend(query="space")
        assert caught.value.code.name == "UNAVAILABLE"
        assert "another@0" in caught.value.message


def test_without_the_worker_answers_are_degraded_or_refused(artefact: Path, tmp_path: Path) -> None:
    with (
        processes.worker(tmp_path, artefact) as worker,
        processes.server(tmp_path, worker.address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        worker.stop(signal.SIGKILL)
        reply = client.recommend(query="space", allow_degraded=True)
        assert list(reply.degraded) == [pb.DEGRADATION_ENCODER_UNAVAILABLE]
        assert len(reply.results) == 10
        with pytest.raises(LongtailError) as caught:
            client.recommend(query="space")
        assert caught.value.code.name == "UNAVAILABLE"
        not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
        processes.wait_until(
            lambda: processes.health(running.address, RECOMMENDATION) == not_serving, running.log
        )
        serving = health_pb2.HealthCheckResponse.SERVING
        assert processes.health(running.address, INTERACTION) == serving


def test_with_a_worker_that_hangs_what_allows_it_is_answered_in_time(
    artefact: Path, tmp_path: Path
) -> None:
    with (
        processes.worker(tmp_path, artefact) as worker,
        processes.server(tmp_path, worker.address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        client.recommend(query="known")
        worker.process.send_signal(signal.SIGSTOP)
        # Other texts each time: those that were encoded are known.
        reply = client.recommend(query="space", allow_degraded=True, timeout=20)
        assert list(reply.degraded) == [pb.DEGRADATION_ENCODER_UNAVAILABLE]
        assert len(reply.results) == 10
        asked = [
            recommend_request(query="known"),
            recommend_request(query="far away"),
            *(recommend_request(query=f"text {n}", allow_degraded=True) for n in range(40)),
        ]
        batch = client.batch_recommend(asked, timeout=20)
        # By now it is known that the worker answers nothing.
        assert [each.status.code for each in batch.results] == [0, 14, *[0] * 40]
        explained = client.explain_item("alien", query="a ship", allow_degraded=True, timeout=20)
        assert list(explained.degraded) == [pb.DEGRADATION_ENCODER_UNAVAILABLE]
        assert client.recommend(user_id="nobody").results
        worker.process.send_signal(signal.SIGCONT)
        serving = health_pb2.HealthCheckResponse.SERVING
        processes.wait_until(
            lambda: processes.health(running.address, RECOMMENDATION) == serving, running.log
        )
        answered = client.recommend(query="a robot alone", allow_degraded=True)
        assert not answered.degraded


def test_a_worker_that_hangs_is_left_alone_while_there_is_another(
    artefact: Path, worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.worker(tmp_path, artefact) as worker,
        processes.server(tmp_path, f"{worker.address},{worker_address}") as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        worker.process.send_signal(signal.SIGSTOP)
        for number in range(8):
            reply = client.recommend(query=f"text {number}", timeout=20)
            assert not reply.degraded
        # What is written finds the other one too.
        client.upsert_items([item_pb2.Item(id="late", title="A late night")], timeout=20)
        worker.process.send_signal(signal.SIGCONT)


def test_a_part_that_fails_is_shown_in_health_and_metrics_while_all_is_answered(
    worker_address: str, tmp_path: Path
) -> None:
    lock = tmp_path / "data" / "index" / "owner.lock"
    lock.mkdir(parents=True)
    metrics = processes.free_address()
    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING

    def exported() -> str:
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=30) as page:
            return str(page.read(), "utf-8")

    with (
        processes.server(
            tmp_path, worker_address, LONGTAIL_SERVER_METRICS_ADDRESS=metrics
        ) as running,
        LongtailClient(running.address) as client,
    ):
        processes.wait_until(
            lambda: processes.health(running.address, "indexer") == not_serving, running.log
        )
        assert processes.health(running.address) == serving
        assert processes.health(running.address, "recall-canary") == serving
        client.upsert_items(films())
        assert client.recommend(query="a robot alone in space").results
        assert 'longtail_part_failures_total{part="indexer"}' in exported()
        assert 'longtail_serving{service="indexer"} 0.0' in exported()
        assert "failed, tried again later part=indexer" in running.log.read_text()
        lock.rmdir()
        processes.wait_until(
            lambda: processes.health(running.address, "indexer") == serving, running.log
        )
        assert 'longtail_serving{service="indexer"} 1.0' in exported()


def test_a_copy_of_the_store_can_be_put_back(worker_address: str, tmp_path: Path) -> None:
    store, copy = tmp_path / "data" / "longtail.db", tmp_path / "copy.db"
    with processes.server(tmp_path, worker_address) as running:
        with LongtailClient(running.address) as client:
            client.upsert_items(films())
            before = client.recommend(query="a robot alone in space")
        assert running.stop() == 0
    shutil.copy(store, copy)
    with processes.server(tmp_path, worker_address) as running:
        with LongtailClient(running.address) as client:
            client.delete_item("wall-e")
            client.upsert_items([item_pb2.Item(id="late", title="A robot alone in space")])
        # Its log is left behind, and its index file, written now, is ahead of the copy.
        running.stop(signal.SIGTERM)
    for leftover in ("longtail.db-wal", "longtail.db-shm"):
        store.with_name(leftover).unlink(missing_ok=True)
    shutil.copy(copy, store)
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        after = client.recommend(query="a robot alone in space")
        assert after.results == before.results
        client.upsert_items([item_pb2.Item(id="other", title="A kitchen in Paris")])
        found = client.recommend(query="a kitchen in Paris", page_size=1, strength=0.0)
        assert found.results[0].item_id == "other"
