"""How often a database failed, whatever its kind."""

from prometheus_client import Counter

FAILURES = Counter(
    "longtail_store_failures_total",
    "Writes and reads that the store failed, by the cause.",
    ["why"],
)
