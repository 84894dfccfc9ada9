"""The metrics endpoint: who may read it, and that whoever connects takes next to nothing."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from longtail.runtime import metrics_server
from longtail.runtime.identity import Role
from longtail.runtime.keys import Key, KeyRing, hashed, write_keys
from longtail.runtime.listening import CannotListen, ListenAddress
from longtail.runtime.metrics_server import MAX_CONNECTIONS, start_metrics
from longtail.runtime.tls import TlsFiles

from tests.certificates import Authority
from tests.processes import free_address


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "SECONDS", 60.0)


@pytest.fixture
def address() -> ListenAddress:
    return ListenAddress.parse("APP_METRICS", free_address())


def connect(address: ListenAddress) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=60)


def status(
    address: ListenAddress, path: str = "/metrics", *, key: str = "", ca: Path | None = None
) -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    scheme, context = ("http", None) if ca is None else ("https", ssl.create_default_context())
    if context is not None:
        context.load_verify_locations(ca)
    request = Request(f"{scheme}://{address}{path}", headers=headers)
    try:
        with urlopen(request, timeout=60, context=context) as answer:
            assert b"# HELP " in answer.read()
            return int(answer.status)
    except HTTPError as error:
        return error.code


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_metrics_are_at_their_address_and_who_comes_second_is_told(
    address: ListenAddress,
) -> None:
    start_metrics(address)
    assert [status(address), status(address, "/other")] == [200, 404]
    with pytest.raises(CannotListen, match=f"{address}: Address already in use; .* APP_METRICS "):
        start_metrics(address)


def test_many_who_send_half_a_request_take_no_threads_and_no_place_of_another(
    address: ListenAddress,
) -> None:
    start_metrics(address)
    threads = threading.active_count()
    with ExitStack() as stack:
        halves = [stack.enter_context(connect(address)) for _ in range(5 * MAX_CONNECTIONS)]
        for half in halves:
            half.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert status(address) == 200
        # Threads of other tests may have ended meanwhile.
        assert threading.active_count() <= threads
        # Those that came first made room.
        with suppress(ConnectionResetError):
            assert halves[0].recv(1) == b""
    assert status(address) == 200


@pytest.mark.parametrize(
    "content",
    [
        b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000,
        b"\x00\xff\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ],
    ids=["too long", "no text", "no question"],
)
def test_what_is_no_question_is_ended(address: ListenAddress, content: bytes) -> None:
    start_metrics(address)
    with connect(address) as asking:
        asking.sendall(content)
        answer = b""
        with suppress(ConnectionResetError):
            while part := asking.recv(1000):
                answer += part
    assert answer == b"" or answer.startswith(b"HTTP/1.1 405 ")


def test_who_does_not_go_on_is_let_go(
    address: ListenAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "SECONDS", 0.1)
    start_metrics(address)
    with connect(address) as waiting:
        waiting.sendall(b"GET ")
        with suppress(ConnectionResetError):
            assert waiting.recv(1) == b""


def test_where_there_are_keys_one_is_needed(address: ListenAddress, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = KeyRing(path, {})
    start_metrics(address, keys=ring)
    assert status(address) == 200
    write_keys(path, [Key("prometheus", Role.READ, hashed("a"), "2026-11-28T10:00:00+00:00")])
    ring.refresh()
    assert [status(address, key=key) for key in ("", "b", "a")] == [401, 401, 200]
    assert status(address, "/other") == 401


def test_metrics_are_encrypted_by_what_the_files_hold(
    address: ListenAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "FOLLOW_SECONDS", 0.02)
    before, after = Authority(tmp_path / "before"), Authority(tmp_path / "after")
    made = before.certify("one")
    start_metrics(address, tls=TlsFiles(str(made.certificate), str(made.private_key)))
    assert status(address, ca=before.certificate) == 200
    with pytest.raises(OSError):  # noqa: PT011 - what it is hangs on where it is noticed
        status(address)
    with ExitStack() as stack:
        for _ in range(5 * MAX_CONNECTIONS):
            stack.enter_context(connect(address))
        assert status(address, ca=before.certificate) == 200
    other = after.certify("one")
    made.private_key.write_bytes(other.private_key.read_bytes())
    made.certificate.write_bytes(other.certificate.read_bytes())

    def is_shown() -> bool:
        try:
            return status(address, ca=after.certificate) == 200
        except OSError:
            return False

    wait_until(is_shown)
