"""What a client does when the files of its access are replaced while it is used."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from longtail.client import Access, AsyncLongtailClient, LongtailClient
from longtail.client.calls import connection
from longtail.client.calls.connection import Connection

from tests.certificates import Authority
from tests.processes import free_address
from tests.unit.client.fake_server import fake_server


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.0)


class Channels:
    """Opens channels that are numbers, and keeps those that were dropped."""

    def __init__(self, access: Access) -> None:
        self.opened = 0
        self.dropped: list[int] = []
        self.connection = Connection(access, self.open, self.dropped.append)

    def open(self) -> int:
        self.opened += 1
        return self.opened

    def call(self) -> tuple[int, str]:
        with self.connection.call() as (channel, metadata):
            return channel, dict(metadata)["authorization"]


def test_a_key_that_was_replaced_is_sent_and_calls_end_where_they_began(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old\n")
    channels = Channels(Access(key_file=str(file)))
    assert channels.call() == (1, "Bearer old")
    with channels.connection.call() as (first, _):
        file.write_text("newer\n")
        assert channels.call() == (2, "Bearer newer")
        assert (first, channels.dropped, channels.connection.channels()) == (1, [], [1, 2])
    assert (channels.dropped, channels.connection.channels()) == ([1], [2])
    file.unlink()
    assert channels.call() == (2, "Bearer newer")
    file.write_text("newest\n")
    assert channels.call() == (3, "Bearer newest")
    assert channels.dropped == [1, 2]


def test_a_file_that_is_not_there_from_the_beginning_is_an_error(tmp_path: Path) -> None:
    for access in (Access(key_file=str(tmp_path / "no")), Access(authorities=str(tmp_path / "no"))):
        with pytest.raises(FileNotFoundError):
            LongtailClient("127.0.0.1:1", access=access)


def test_files_are_looked_at_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(connection, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = tmp_path / "key"
    file.write_text("old")
    channels = Channels(Access(key_file=str(file)))
    channels.call()
    file.write_text("newer")
    assert channels.call() == (1, "Bearer old")
    now[0] += 1.0
    assert channels.call() == (2, "Bearer newer")


@contextmanager
def closed(authority: Authority, address: str) -> Iterator[None]:
    """Serve those whom the authority certified."""
    shown = authority.certify("server")
    pair = (shown.private_key.read_bytes(), shown.certificate.read_bytes())
    believed = authority.certificate.read_bytes()
    with fake_server(address, grpc.ssl_server_credentials([pair], believed, True)):
        yield


async def test_certificates_that_were_replaced_are_shown_and_believed(tmp_path: Path) -> None:
    before, after = Authority(tmp_path / "before"), Authority(tmp_path / "after")
    ca, certificate, private_key = (tmp_path / name for name in ("ca", "certificate", "key"))
    access = Access(authorities=str(ca), certificate=str(certificate), private_key=str(private_key))

    def become_known_to(authority: Authority) -> None:
        made = authority.certify("client")
        shutil.copy(authority.certificate, ca)
        shutil.copy(made.certificate, certificate)
        shutil.copy(made.private_key, private_key)

    become_known_to(before)
    address = free_address()
    with LongtailClient(address, access=access) as client:
        async with AsyncLongtailClient(address, access=access) as other:
            with closed(before, address):
                client.server_info()
                await other.server_info()
                shutil.copy(after.certify("client").certificate, certificate)
                # Without its key it is of no use yet.
                client.server_info()
                await other.server_info()
            become_known_to(after)
            with closed(after, address):
                client.server_info()
                await other.server_info()
