"""TLS from files: what is of no use is refused, and what changes is taken over."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
from longtail.runtime.listening import ListenAddress
from longtail.runtime.settings import SettingsError, check_closed
from longtail.runtime.tls import (
    FollowedFiles,
    TlsError,
    TlsFiles,
    channel_credentials,
    server_credentials,
)

from tests.certificates import Authority, Certified


def files(made: Certified, authorities: Path | str = "") -> TlsFiles:
    return TlsFiles(str(made.certificate), str(made.private_key), str(authorities))


def test_files_that_do_not_fit_each_other_or_are_not_there_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.certify("one"), authority.certify("other")
    FollowedFiles(files(one, authority.certificate))
    empty = tmp_path / "empty.pem"
    empty.touch()
    for wrong in (
        TlsFiles(str(one.certificate), str(other.private_key)),
        TlsFiles(str(one.certificate), str(tmp_path / "absent")),
        files(one, empty),
        TlsFiles(str(empty), str(one.private_key)),
    ):
        with pytest.raises(TlsError, match=str(tmp_path)):
            FollowedFiles(wrong)


def test_a_change_is_taken_over_when_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    made = authority.certify("one")
    followed = FollowedFiles(files(made))
    assert not followed.refresh()
    before = followed.contents
    made.private_key.write_bytes(authority.certify("other").private_key.read_bytes())
    for _ in range(3):
        assert not followed.refresh()
    assert followed.contents == before
    assert len(caplog.records) == 1
    authority.certify("one")
    assert followed.refresh()
    assert followed.contents[0] == made.certificate.read_bytes()
    made.certificate.unlink()
    assert not followed.refresh()


async def shown_serial(port: int) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    # The serial number is the first integer after the version, 3: a0 03 02 01 02, 02 length value.
    at = shown.index(bytes.fromhex("a003020102")) + 5
    return int.from_bytes(shown[at + 2 : at + 2 + shown[at + 1]], "big")


async def test_new_connections_are_shown_what_the_files_hold_then(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.certify("one", serial=11)
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", server_credentials(FollowedFiles(files(made))))
    await server.start()
    try:
        assert await shown_serial(port) == 11
        authority.certify("one", serial=22)
        assert await shown_serial(port) == 22
        made.certificate.write_text("half of it")
        assert await shown_serial(port) == 22
    finally:
        await server.stop(0)


async def test_a_server_with_authorities_lets_in_only_whom_they_certified(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    shown = FollowedFiles(files(ours.certify("server"), ours.certificate))

    async def answer(request: bytes, context: object) -> bytes:
        return request

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Ask": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", handlers),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(shown))
    await server.start()
    codes = []
    clients = [
        files(ours.certify("client"), ours.certificate),
        TlsFiles(authorities=str(ours.certificate)),
        files(theirs.certify("client"), ours.certificate),
        files(ours.certify("client"), theirs.certificate),
    ]
    try:
        for client in clients:
            credentials = channel_credentials(FollowedFiles(client))
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
                ask: Any = channel.unary_unary("/a.Service/Ask")
                codes.append((await ask(b"", timeout=60).code()).name)
    finally:
        await server.stop(0)
    assert codes == ["OK", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]


@pytest.mark.parametrize(
    ("address", "closed"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.1.2.3:1", False),
        ("no-such-name.invalid:1", False),
    ],
)
def test_what_other_machines_reach_needs_what_is_missing_or_trust(
    address: str, closed: bool
) -> None:
    listen = ListenAddress.parse("APP_ADDRESS", address)
    check_closed(listen, [], trusted=False, variable="APP_TRUST")
    check_closed(listen, ["set X"], trusted=True, variable="APP_TRUST")
    if closed:
        check_closed(listen, ["set X"], trusted=False, variable="APP_TRUST")
        return
    with pytest.raises(SettingsError, match=r"APP_ADDRESS=.*: set X; or set APP_TRUST=true"):
        check_closed(listen, ["set X"], trusted=False, variable="APP_TRUST")
