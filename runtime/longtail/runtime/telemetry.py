"""Metrics of every process: what Prometheus counts of RPCs, health and traces."""

from prometheus_client import Counter, Gauge, Histogram

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
