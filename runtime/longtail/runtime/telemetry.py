"""Logs and metrics: one line per event with key=value, and what Prometheus counts of every RPC."""

import logging
import sys

from prometheus_client import Counter, Gauge, Histogram

LOG_LEVELS = ("debug", "info", "warning", "error")
_GRPC, _CALLER_GONE = "grpc._cython.cygrpc", "ExecuteBatchError raised in core by servicer method"
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

RPC_SECONDS = Histogram(
    "longtail_rpc_seconds", "Time from request to answer.", ["method"], buckets=_SECONDS
)
RPC_TOTAL = Counter("longtail_rpc_total", "Requests answered.", ["method", "code"])
REFUSED_CALLERS = Counter(
    "longtail_refused_callers_total", "Calls without a key that may make them.", ["code"]
)
TRACES_LOST = Counter(
    "longtail_traces_lost_total", "Traced calls that the receiver of traces did not get.", ["why"]
)
RPC_IN_FLIGHT = Gauge("longtail_rpc_in_flight", "Requests being worked on.")
SERVING = Gauge("longtail_serving", "1 while the service answers, else 0.", ["service"])


def configure_logging(level: str) -> None:
    """Send the logs of this process from `level`, one of LOG_LEVELS, on to standard error."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
    logging.getLogger(_GRPC).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether gRPC tells of more than a caller that went while its answer was being sent.

    Anybody may do that as often as they like, for a traceback each time.
    """
    return not record.getMessage().startswith(_CALLER_GONE)
