import asyncio
import math
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import grpc.aio
import pytest
from longtail.v1 import embedding_service_pb2 as pb

from bench.figures import LoadError
from bench.load import (
    EMBED,
    Answers,
    ask_all,
    checked,
    http_posts,
    latency,
    open_loop,
    requests_of,
    responses_of,
)
from loadtest.open_loop import Offered, Schedule

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


async def answer(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
    """Refuse, keep silent or echo, as the request says."""
    if request == b"refuse":
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    if request == b"silence":
        await asyncio.Event().wait()
    return request


@pytest.fixture
async def address() -> AsyncIterator[str]:
    service, _, method = EMBED[1:].partition("/")
    server = grpc.aio.server()
    handler: Handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


class Echo(BaseHTTPRequestHandler):
    """Answers with the body; refuses the body `bad` without closing the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422 if body == b"bad" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_bodies_are_posted_over_connections_that_stay(echo: str) -> None:
    bodies = [str(number).encode() for number in range(6)]
    outcome = http_posts(echo, "/", bodies, callers=2, keep_answers=True)
    assert sorted(outcome.answers) == list(enumerate(bodies))
    assert not outcome.errors


def test_a_post_that_is_refused_is_no_answer(echo: str) -> None:
    outcome = http_posts(echo, "/", [b"1", b"bad", b"2"], callers=1, keep_answers=True)
    assert outcome.answers == [(0, b"1"), (2, b"2")]
    assert outcome.errors == {"OSError": 1}


async def test_callers_share_the_requests_and_each_is_sent_once() -> None:
    at_once = most = 0

    async def ask(request: bytes) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return request

    requests = [str(number).encode() for number in range(10)]
    outcome = await ask_all([ask] * 3, requests, keep_answers=True)
    assert sorted(outcome.answers) == list(enumerate(requests))
    assert len(outcome.latencies) == 10
    assert most == 3


async def test_a_call_that_fails_is_counted_and_the_others_go_on() -> None:
    async def ask(request: bytes) -> bytes:
        if request == b"bad":
            raise OSError("gone")
        return request

    outcome = await ask_all([ask], [b"1", b"bad", b"2"], keep_answers=True)
    assert outcome.answers == [(0, b"1"), (2, b"2")]
    assert outcome.errors == {"OSError": 1}


def test_a_load_that_failed_in_part_has_no_rate() -> None:
    outcome = Answers()
    outcome.errors["UNAVAILABLE"] += 1
    with pytest.raises(LoadError, match="UNAVAILABLE"):
        checked(outcome)


def test_a_text_that_failed_in_its_result_is_seen() -> None:
    response = pb.EmbedResponse(results=[pb.EmbedResult(), pb.EmbedResult()])
    assert responses_of(Answers(answers=[(0, response.SerializeToString())]))
    response.results[1].status.message = "is blank"
    with pytest.raises(LoadError, match="is blank"):
        responses_of(Answers(answers=[(0, response.SerializeToString())]))


def test_texts_are_cut_into_calls_with_the_rest_in_the_last() -> None:
    requests = [
        pb.EmbedRequest.FromString(request)
        for request in requests_of(["a", "b", "c"], 2, pb.LANE_BULK)
    ]
    assert [list(request.texts) for request in requests] == [["a", "b"], ["c"]]
    assert {request.lane for request in requests} == {pb.LANE_BULK}
    assert {request.role for request in requests} == {pb.ROLE_ITEM}


async def offered(address: str, *requests: bytes, deadline: float) -> list[Offered[None]]:
    schedule = Schedule(rate=100, seconds=0.3, warmup_seconds=0.1)
    # In a thread: it is made for a process and has a loop of its own.
    return await asyncio.to_thread(open_loop, address, EMBED, requests, schedule, deadline)


async def test_offered_requests_are_told_apart_by_their_end(address: str) -> None:
    found = await offered(address, b"echo", b"refuse", deadline=60)
    errors = sorted(each.error for each in found)
    assert errors == [""] * 15 + ["RESOURCE_EXHAUSTED"] * 15
    late = await offered(address, b"silence", deadline=0.2)
    assert [each.error for each in late] == ["DEADLINE_EXCEEDED"] * 30


async def test_what_failed_counts_as_never_answered(address: str) -> None:
    found = await offered(address, b"echo", b"refuse", deadline=60)
    assert latency(found, 50) < 60
    assert latency(found, 51) == math.inf
