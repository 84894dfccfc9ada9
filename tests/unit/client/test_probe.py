from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from longtail.client import probe

from tests.processes import free_address


@pytest.mark.parametrize(
    ("status", "code", "seconds"), [("SERVING", 0, 60), ("NOT_SERVING", 1, 0.3)]
)
def test_a_container_is_as_healthy_as_its_server_says(
    status: str, code: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "SECONDS", seconds)
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert probe.main([f"127.0.0.1:{port}"]) == code
    finally:
        server.stop(None)


def test_nobody_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = free_address()
    monkeypatch.setattr(probe, "SECONDS", 0.3)
    monkeypatch.setenv("LONGTAIL_SERVER_ADDRESS", address)
    assert probe.main([]) == 1
    assert address in capsys.readouterr().err
