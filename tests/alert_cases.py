"""For each alert, what makes it fire and what does not, as series of promtool.

A value `0+1x10` is 0, then ten times 1 more; see https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/.
"""

from collections.abc import Mapping
from typing import NamedTuple

Series = Mapping[str, str]
SERVER = 'job="longtail-server",instance="a"'
WORKER = 'job="longtail-worker",instance="b"'
WEEK = 7 * 24


class Case(NamedTuple):
    """Series of which an alert `fires` after so many `steps`, with `labels`, or stays `quiet`.

    There is a sample each `step`.
    """

    fires: Series
    quiet: Series
    steps: int
    labels: Mapping[str, str]
    step: str = "1m"


_OF_SERVER = {"job": "longtail-server", "instance": "a"}
_OF_WORKER = {"job": "longtail-worker", "instance": "b"}
_JOB = {"job": "longtail-server"}
_RECOMMEND = "RecommendationService/Recommend"


def _total(code: str, method: str = _RECOMMEND) -> str:
    return f'longtail_rpc_total{{{SERVER},method="{method}",code="{code}"}}'


def _serving(service: str) -> str:
    return f'longtail_serving{{{SERVER},service="{service}"}}'


def _buckets(name: str, labels: str, below: str, above: str) -> Series:
    """Return a histogram of which everything lies between two bounds."""
    return {
        f'{name}_bucket{{{labels},le="{below}"}}': "0x20",
        f'{name}_bucket{{{labels},le="{above}"}}': "0+60x20",
        f'{name}_bucket{{{labels},le="+Inf"}}': "0+60x20",
    }


def _gauge(name: str, fires: str, quiet: str, steps: int, labels: str = SERVER) -> Case:
    series = f"{name}{{{labels}}}"
    about = _OF_SERVER if labels == SERVER else _OF_WORKER
    return Case({series: fires}, {series: quiet}, steps, about)


def _counter(name: str, why: str, labels: Mapping[str, str], steps: int) -> Case:
    series = f"{name}{{{SERVER},{why}}}" if why else f"{name}{{{SERVER}}}"
    return Case({series: "0+90x20"}, {series: "7x20"}, steps, labels)


def _share(code: str) -> Case:
    good = {_total("OK"): "0+600x20"}
    return Case({**good, _total(code): "0+60x20"}, {**good, _total(code): "0+1x20"}, 15, _JOB)


_RPC = f'{SERVER},method="{_RECOMMEND}"'
_QUEUE = f'{WORKER},lane="interactive"'
_SERVICE = "longtail.v1.ItemService"

CASES: Mapping[str, Case] = {
    "LongtailDown": _gauge("up", "1 0x5", "1x5", 3),
    "LongtailNotServing": Case(
        {_serving(_SERVICE): "0x5"},
        {_serving(_SERVICE): "1x5", _serving("all"): "0x5", _serving("indexer"): "0x5"},
        3,
        {**_OF_SERVER, "service": _SERVICE},
    ),
    "LongtailPartFails": Case(
        {_serving("indexer"): "0x20"},
        {_serving("indexer"): "0x4 1x16", _serving("all"): "0x20", _serving(_SERVICE): "0x20"},
        15,
        {**_OF_SERVER, "service": "indexer"},
    ),
    "LongtailStoreNotWritten": _gauge("longtail_store_writable", "1 0x5", "NaN 1x5", 3),
    "LongtailDiskFull": _counter(
        "longtail_store_failures_total", 'why="full"', {**_OF_SERVER, "why": "full"}, 6
    ),
    "LongtailStoreLocked": _counter(
        "longtail_store_failures_total", 'why="locked"', {**_OF_SERVER, "why": "locked"}, 15
    ),
    "LongtailStoreAway": _counter(
        "longtail_store_failures_total", 'why="away"', {**_OF_SERVER, "why": "away"}, 6
    ),
    "LongtailNotMaintained": Case(
        {
            f"longtail_store_maintainer{{{SERVER}}}": "1 0x20",
            'longtail_store_maintainer{job="longtail-server",instance="c"}': "0x20",
        },
        {
            f"longtail_store_maintainer{{{SERVER}}}": "1 0x20",
            'longtail_store_maintainer{job="longtail-server",instance="c"}': "NaN NaN 1x20",
        },
        10,
        _JOB,
    ),
    "LongtailWritesWait": _gauge("longtail_store_waiting_writes", "500x20", "500x3 0x17", 15),
    "LongtailFaults": Case(
        {_total("INTERNAL"): "0+1x20"},
        {_total("INTERNAL"): "4x20", _total("NOT_FOUND"): "0+9x20"},
        6,
        {**_JOB, "method": _RECOMMEND, "code": "INTERNAL"},
    ),
    "LongtailSlow": Case(
        _buckets("longtail_rpc_seconds", _RPC, "0.5", "1.0"),
        _buckets("longtail_rpc_seconds", _RPC, "0.01", "0.02"),
        18,
        _JOB,
    ),
    "LongtailOverloaded": _share("RESOURCE_EXHAUSTED"),
    "LongtailUnanswered": _share("UNAVAILABLE"),
    "LongtailDegraded": _counter("longtail_degraded_total", 'why="encoder_unavailable"', _JOB, 15),
    "LongtailEncoderWrong": _gauge(
        "longtail_worker_golden_cosine", "1 0.9x5", "NaN 0.9999x5", 3, WORKER
    ),
    "LongtailWorkerQueue": Case(
        _buckets("longtail_worker_queue_seconds", _QUEUE, "0.2", "0.5"),
        _buckets("longtail_worker_queue_seconds", _QUEUE, "0.05", "0.1"),
        15,
        {"instance": "b"},
    ),
    "LongtailInferenceFails": Case(
        {f'longtail_worker_dropped_total{{{WORKER},reason="failed"}}': "0+1x20"},
        {
            f'longtail_worker_dropped_total{{{WORKER},reason="expired"}}': "0+1x20",
            f"longtail_worker_slot_restarts_total{{{WORKER}}}": "0x20",
        },
        6,
        {**_OF_WORKER, "reason": "failed"},
    ),
    "LongtailIndexEngineAway": _gauge("longtail_index_engine_up", "1 0x10", "NaN 0 1x10", 5),
    "LongtailRecallLow": _gauge("longtail_index_recall", "0.9x40", "NaN NaN 0.98x40", 35),
    "LongtailBehaviourIncomplete": _gauge("longtail_behaviour_complete", "0x40", "0x5 1x35", 35),
    "LongtailCoverageFell": _gauge(
        "longtail_exposure_coverage", f"0.8x{WEEK} 0.3x10", f"0.8x{WEEK} 0.6x10", WEEK + 8
    )._replace(step="1h"),
    "LongtailRefusedCallers": _counter(
        "longtail_refused_callers_total", 'code="UNAUTHENTICATED"', _JOB, 18
    ),
    "LongtailTracesLost": Case(
        {f'longtail_traces_lost_total{{{SERVER},why="full"}}': "0+9x40"},
        {f'longtail_traces_lost_total{{{SERVER},why="full"}}': "7x40"},
        30,
        _JOB,
    ),
}
