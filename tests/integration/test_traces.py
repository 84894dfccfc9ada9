"""The way of calls through both processes, as a real OTLP receiver gets to see it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from longtail.client import LongtailClient
from longtail.v1 import recommendation_service_pb2 as pb
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import BatchUpsertItemsRequest
from longtail.v1.item_service_pb2_grpc import ItemServiceStub
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests import processes
from tests.otlp_receiver import OtlpReceiver, otlp_receiver, values
from tests.processes import environment
from tests.served_films import catalogue

pytestmark = pytest.mark.model

RECOMMEND, EMBED = (
    "longtail.v1.RecommendationService/Recommend",
    "longtail.v1.EmbeddingService/Embed",
)
UPSERT = "longtail.v1.ItemService/BatchUpsertItems"


class Traced(NamedTuple):
    """A server and a worker that send their traces to a receiver."""

    address: str
    receiver: OtlpReceiver


@pytest.fixture(scope="module")
def traced(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    home = tmp_path_factory.mktemp("traces")
    with otlp_receiver() as receiver:
        # A call is traced when its caller says so, and no other.
        variables = {
            "LONGTAIL_TRACES_ENDPOINT": f"http://{receiver.address}",
            "LONGTAIL_TRACES_RATIO": "0",
        }
        with (
            processes.worker(home, artefact, **variables) as worker,
            processes.server(home, worker.address, **variables) as server,
        ):
            with LongtailClient(server.address) as client:
                client.upsert_items(catalogue())
            yield Traced(server.address, receiver)


def parent(trace_id: str, flags: str = "01") -> Sequence[tuple[str, str]]:
    return [("traceparent", f"00-{trace_id}-{'c' * 16}-{flags}"), ("tracestate", "shop=1")]


def of(spans: Sequence[Span], trace_id: str) -> list[Span]:
    return [span for span in spans if span.trace_id.hex() == trace_id]


def names(spans: Sequence[Span]) -> set[str]:
    return {span.name for span in spans}


def test_a_recommend_is_seen_from_its_caller_to_the_batch_of_the_worker(traced: Traced) -> None:
    trace_id, receiver = "a" * 32, traced.receiver
    with grpc.insecure_channel(traced.address) as channel:
        stub = RecommendationServiceStub(channel)
        stub.Recommend(pb.RecommendRequest(query="a hunt"), metadata=parent("b" * 32, "00"))
        stub.Recommend(pb.RecommendRequest(query="a whale is hunted"), metadata=parent(trace_id))
    spans = receiver.wait(lambda all_: {"reply", "inference"} <= names(of(all_, trace_id)))
    assert not of(spans, "b" * 32)
    mine = of(spans, trace_id)
    by_name = {span.name: span for span in mine if span.name != EMBED}
    stages = {"encode", "context", "candidates", "ranking", "reply", "tokenize", "queue"}
    assert by_name.keys() - {"admission"} == {RECOMMEND, *stages, "inference"}
    root = by_name[RECOMMEND]
    assert root.parent_span_id.hex() == "c" * 16
    assert root.kind == Span.SPAN_KIND_SERVER
    assert values(root.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": RECOMMEND,
        "rpc.response.status_code": "OK",
    }
    asked, answered = sorted((s for s in mine if s.name == EMBED), key=lambda each: each.kind)[::-1]
    assert (asked.kind, answered.kind) == (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER)
    assert asked.parent_span_id == root.span_id
    assert answered.parent_span_id == asked.span_id
    for name in stages:
        above = answered if name in ("tokenize", "queue") else root
        assert by_name[name].parent_span_id == above.span_id, name
    processes_ = [receiver.process_of(each)["service.name"] for each in (root, asked, answered)]
    assert processes_ == ["longtail-server", "longtail-server", "longtail-worker"]
    assert {span.trace_state for span in mine} == {"shop=1"}

    # Every stage lies within the span that it is a part of; two processes have one clock here.
    within = {span.span_id: span for span in mine}
    for span in mine:
        around = within.get(span.parent_span_id, span)
        assert around.start_time_unix_nano <= span.start_time_unix_nano + 10**6, span.name
        assert span.end_time_unix_nano <= around.end_time_unix_nano + 10**6, span.name
        assert span.start_time_unix_nano <= span.end_time_unix_nano

    # The batch has a trace of its own, and each leads to the other.
    [to_batch] = by_name["inference"].links
    [batch] = [span for span in receiver.spans() if span.span_id == to_batch.span_id]
    assert batch.name == "batch"
    assert values(batch.attributes)["longtail.texts"] == 1
    assert [link.span_id for link in batch.links] == [answered.span_id]


def test_a_write_is_seen_in_the_store(traced: Traced) -> None:
    trace_id = "d" * 32
    item = Item(id="orca", title="A whale hunts back")
    with grpc.insecure_channel(traced.address) as channel:
        ItemServiceStub(channel).BatchUpsertItems(
            BatchUpsertItemsRequest(items=[item]), metadata=parent(trace_id)
        )
    spans = traced.receiver.wait(lambda all_: UPSERT in names(of(all_, trace_id)))
    mine = {span.name: span for span in of(spans, trace_id)}
    assert {UPSERT, EMBED, "write queue", "commit", "follow"} <= mine.keys()
    assert values(mine["commit"].attributes) == {"longtail.writes": 1}
    for name in ("write queue", "commit", "follow"):
        assert mine[name].parent_span_id == mine[UPSERT].span_id


def test_a_failure_is_marked_when_it_is_ours(traced: Traced) -> None:
    trace_id = "e" * 32
    with grpc.insecure_channel(traced.address) as channel:
        stub = RecommendationServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Recommend(pb.RecommendRequest(page_size=-1), metadata=parent(trace_id))
    spans = traced.receiver.wait(lambda all_: RECOMMEND in names(of(all_, trace_id)))
    [root] = of(spans, trace_id)
    assert values(root.attributes)["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert root.status.code == Status.STATUS_CODE_UNSET


def test_without_a_receiver_nothing_of_opentelemetry_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys, longtail.server.app, longtail.worker.__main__\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=environment(tmp_path), check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("module", ["longtail.server", "longtail.worker"])
def test_a_receiver_that_is_none_is_named(module: str, tmp_path: Path) -> None:
    variables = environment(tmp_path, LONGTAIL_TRACES_ENDPOINT="collector:4317")
    ended = subprocess.run(
        [sys.executable, "-m", module], env=variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "LONGTAIL_TRACES_ENDPOINT='collector:4317' is not http://host:port" in ended.stderr
