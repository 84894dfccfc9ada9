"""Real processes with keys and certificates: who is let in, and what changes without a restart."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from longtail.client import Access, LongtailClient, LongtailError
from longtail.runtime.reflection import V1
from longtail.server.app import SERVICES

from tests import processes
from tests.certificates import Authority, Certified
from tests.films import films

pytestmark = pytest.mark.model


@dataclass(frozen=True)
class Closed:
    """A server and a worker that are closed to strangers, and the certificates that they show."""

    server: processes.Running
    worker: processes.Running
    home: Path
    authority: Authority
    shown_to_worker: Certified

    def key(self, name: str, role: str) -> Access:
        secret = keys(self.home, "add", name, "--role", role).strip()
        return replace(self.server.access, key=secret)


def keys(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "longtail.server.keys", *arguments]
    done = subprocess.run(
        command, env=processes.environment(home), capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def closed(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    home = tmp_path_factory.mktemp("closed")
    inside, outside = Authority(home / "inside"), Authority(home / "outside")
    worker, to_worker = inside.certify("worker"), inside.certify("server")
    server = outside.certify("shop")
    keys(home, "add", "first", "--role", "admin")
    with ExitStack() as stack:
        running_worker = stack.enter_context(
            processes.worker(
                home,
                artefact,
                LONGTAIL_CA=str(inside.certificate),
                LONGTAIL_CERTIFICATE=str(to_worker.certificate),
                LONGTAIL_PRIVATE_KEY=str(to_worker.private_key),
                LONGTAIL_WORKER_CERTIFICATE=str(worker.certificate),
                LONGTAIL_WORKER_PRIVATE_KEY=str(worker.private_key),
                LONGTAIL_WORKER_CLIENT_CA=str(inside.certificate),
            )
        )
        running_server = stack.enter_context(
            processes.server(
                home,
                running_worker.address,
                LONGTAIL_CA=str(outside.certificate),
                LONGTAIL_SERVER_CERTIFICATE=str(server.certificate),
                LONGTAIL_SERVER_PRIVATE_KEY=str(server.private_key),
                LONGTAIL_WORKER_CA=str(inside.certificate),
                LONGTAIL_WORKER_CLIENT_CERTIFICATE=str(to_worker.certificate),
                LONGTAIL_WORKER_CLIENT_PRIVATE_KEY=str(to_worker.private_key),
            )
        )
        yield Closed(running_server, running_worker, home, inside, to_worker)


def code(client: LongtailClient) -> str:
    """Return what becomes of a call that a reader may make."""
    try:
        client.server_info()
    except LongtailError as error:
        return error.code.name
    return "OK"


def test_a_key_is_good_within_seconds_for_what_its_role_allows_until_it_is_revoked(
    closed: Closed,
) -> None:
    address = closed.server.address
    reader, writer = closed.key("reader", "read"), closed.key("writer", "write")
    with (
        LongtailClient(address, access=writer) as writing,
        LongtailClient(address, access=reader) as reading,
        LongtailClient(address, access=closed.server.access) as unknown,
    ):
        processes.wait_until(lambda: code(writing) == "OK", closed.server.log)
        assert code(unknown) == "UNAUTHENTICATED"
        unknown.wait_until_serving(timeout=60)
        writing.upsert_items(films())
        assert reading.recommend(query="a robot alone in space").results[0].item_id == "wall-e"
        with pytest.raises(LongtailError) as caught:
            reading.upsert_items(films())
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(LongtailError) as caught:
            list(writing.list_interactions(user_id="somebody"))
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        keys(closed.home, "revoke", "reader")
        processes.wait_until(lambda: code(reading) == "UNAUTHENTICATED", closed.server.log)
        assert code(writing) == "OK"


# What each role may beyond the one before it, as SECURITY.md says.
MAY = {
    "read": (
        "RecommendationService/Recommend RecommendationService/BatchRecommend "
        "RecommendationService/CompareRecommendations RecommendationService/ExplainItem "
        "ItemService/GetItem ItemService/BatchGetItems ItemService/ListItems "
        "ItemService/ExportItems InsightService/GetCatalogStats InsightService/GetExposureReport "
        "InsightService/GetItemPopularity AdminService/GetServerInfo "
        "AdminService/ListVectorSpaces"
    ),
    "write": (
        "ItemService/BatchUpsertItems ItemService/UpdateItem ItemService/ImportItems "
        "ItemService/DeleteItem ItemService/BatchDeleteItems InteractionService/WriteInteractions "
        "InteractionService/ImportInteractions InteractionService/RecordImpressions"
    ),
    "review": (
        "ReviewService/ListReviewQueue ReviewService/DecideItems ReviewService/ListDecisions"
    ),
    "admin": (
        "InteractionService/ListInteractions InteractionService/DeleteUserData "
        "AdminService/RebuildIndex AdminService/GetOperation AdminService/CreateSnapshot "
        "AdminService/ListSnapshots AdminService/VerifySnapshot AdminService/DeleteSnapshot "
        "AdminService/CreateVectorSpace AdminService/DeleteVectorSpace"
    ),
}
REFLECTION = f"/{V1}/ServerReflectionInfo"


def refusals(
    running: processes.Running, access: Access, methods: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Return what the server says to bytes that are no request: code, message and trailers."""
    credentials = access.credentials()
    assert credentials is not None
    told = []
    with grpc.secure_channel(running.address, credentials) as channel:
        for method in methods:
            call: Any = channel.stream_unary(method)
            with pytest.raises(grpc.RpcError) as caught:
                call(iter([b"\xff"]), timeout=60, metadata=access.metadata)
            error: Any = caught.value
            told.append((error.code().name, error.details(), str(error.trailing_metadata())))
    return told


def test_each_role_may_ask_for_what_security_says_and_for_nothing_else(closed: Closed) -> None:
    methods = [
        f"{service.rpartition('.')[2]}/{method.name}"
        for service in SERVICES
        for method in descriptor_pool.Default().FindServiceByName(service).methods
    ]
    accesses = {role: closed.key(f"of-{role}", role) for role in MAY}
    with LongtailClient(closed.server.address, access=accesses["admin"]) as client:
        processes.wait_until(lambda: code(client) == "OK", closed.server.log)
    may: set[str] = set()
    for role, names in MAY.items():
        may |= set(names.split())
        paths = [f"/longtail.v1.{name}" for name in methods]
        told = [each for each, *_ in refusals(closed.server, accesses[role], paths)]
        assert dict(zip(methods, told, strict=True)) == {
            name: "INVALID_ARGUMENT" if name in may else "PERMISSION_DENIED" for name in methods
        }
    # Every method is somebody's.
    assert may == set(methods)


def test_without_a_key_a_server_tells_its_health_and_nothing_else(closed: Closed) -> None:
    nobody = closed.server.access
    methods = [
        *(f"/longtail.v1.{name}" for names in MAY.values() for name in names.split()),
        REFLECTION,
        "/longtail.v1.ItemService/Guess",
        "/any.Service/Method",
    ]
    guessed = replace(nobody, key="longtail_guessed")
    told = {
        each for access in (nobody, guessed) for each in refusals(closed.server, access, methods)
    }
    assert len(told) == 1
    assert "UNAUTHENTICATED" in told.pop()
    assert processes.health(closed.server.address, access=nobody)


def test_the_command_line_takes_key_and_authorities_from_the_environment(closed: Closed) -> None:
    access = closed.key("commandline", "read")
    variables = processes.environment(
        closed.home,
        LONGTAIL_SERVER_ADDRESS=closed.server.address,
        LONGTAIL_CA=access.authorities,
        LONGTAIL_API_KEY=access.key,
    )

    def stats(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "longtail.client.cli", "stats"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    processes.wait_until(lambda: stats(variables).returncode == 0, closed.server.log)
    refused = stats({**variables, "LONGTAIL_API_KEY": "wrong"})
    assert (refused.returncode, "set LONGTAIL_API_KEY" in refused.stderr) == (1, True)
    missing = stats({**variables, "LONGTAIL_CA": str(closed.home / "absent.pem")})
    assert (missing.returncode, "absent.pem" in missing.stderr) == (2, True)


def test_who_does_not_encrypt_is_told_nothing(closed: Closed) -> None:
    for running in (closed.server, closed.worker):
        with pytest.raises(grpc.RpcError):
            processes.health(running.address)
    with pytest.raises(grpc.RpcError):
        processes.health(
            closed.worker.address, access=Access(authorities=str(closed.authority.certificate))
        )


def test_the_server_goes_on_with_its_worker_when_its_certificate_changes(closed: Closed) -> None:
    def changes() -> int:
        return closed.server.log.read_text().count("certificate changed")

    before = changes()
    with LongtailClient(closed.server.address, access=closed.key("asker", "write")) as client:
        processes.wait_until(lambda: code(client) == "OK", closed.server.log)
        client.upsert_items(films())
        closed.authority.certify("server", serial=2)
        number = 0

        def asked_after_the_change() -> bool:
            nonlocal number
            number += 1
            # Each is a text that the worker has to encode.
            assert not client.recommend(query=f"a film about the number {number}").degraded
            return changes() == before + 1

        processes.wait_until(asked_after_the_change, closed.server.log)
        for _ in range(20):
            asked_after_the_change()
    assert "worker away" not in closed.server.log.read_text()


@pytest.mark.parametrize("module", ["longtail.server", "longtail.worker"])
def test_what_other_machines_reach_does_not_start_open(module: str, tmp_path: Path) -> None:
    variable = module.replace(".", "_").upper() + "_ADDRESS"
    variables = processes.environment(tmp_path, **{variable: "0.0.0.0:0"})
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert f"{variable}='0.0.0.0:0' is reached from other machines: set LONGTAIL_" in said
    assert said.endswith("or set LONGTAIL_TRUST_NETWORK=true where whoever reaches it may do all")


def test_administration_answers_on_a_listener_of_its_own_alone(
    worker_address: str, tmp_path: Path
) -> None:
    admin = processes.free_address()
    variables = {"LONGTAIL_SERVER_ADMIN_ADDRESS": admin}
    keys(tmp_path, "add", "somebody", "--role", "write")
    access = Access(keys(tmp_path, "add", "operator", "--role", "admin").strip())
    for arguments in ((), ("--processes", "2")):
        with (
            processes.server(tmp_path, worker_address, *arguments, **variables) as running,
            LongtailClient(running.address, access=access) as client,
            LongtailClient(admin, access=access) as operator,
            LongtailClient(admin) as stranger,
        ):
            operator.wait_until_serving(timeout=60)
            assert operator.list_snapshots() is not None
            assert list(operator.list_review_queue()) == []
            client.catalog_stats()
            queue: Callable[[], object] = client.list_review_queue().__next__
            for method in (client.list_snapshots, operator.catalog_stats, queue):
                with pytest.raises(LongtailError) as caught:
                    method()
                assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
            assert code(stranger) == "UNAUTHENTICATED"
            assert running.stop() == 0
