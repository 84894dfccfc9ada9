"""Settings of the server, read from the environment."""

from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Bounds, setting


@dataclass(frozen=True)
class Settings:
    """What an operator can set. Each field says what it trades."""

    address: str = setting(
        "LONGTAIL_SERVER_ADDRESS", "127.0.0.1:50051", "Where the server listens, host:port."
    )
    metrics_address: str = setting(
        "LONGTAIL_SERVER_METRICS_ADDRESS",
        "127.0.0.1:9464",
        "Where Prometheus reads /metrics, host:port.",
    )
    worker_address: str = setting(
        "LONGTAIL_WORKER_ADDRESS",
        "127.0.0.1:50052",
        "Where the worker is found, host:port; or several workers of one encoder, separated by "
        "commas, or dns:///name:port for one at every address of the name.",
    )
    home: str = setting("LONGTAIL_HOME", "var", "Folder of all state; the store is in data/.")
    candidates: int = setting(
        "LONGTAIL_CANDIDATES",
        200,
        "Items taken from the index for ranking. More find more of the long tail and take longer.",
        Bounds(100, 2000),
    )
    strength: float = setting(
        "LONGTAIL_STRENGTH",
        0.3,
        "The long-tail dial where a request does not set it: 0 is pure relevance.",
        Bounds(0, 1),
    )
    index_links: int = setting(
        "LONGTAIL_INDEX_LINKS",
        16,
        "HNSW links per node (M). More: better recall, more memory. A change rebuilds the index.",
        Bounds(4, 64),
    )
    index_ef_construction: int = setting(
        "LONGTAIL_INDEX_EF_CONSTRUCTION",
        200,
        "HNSW width while building. More: better recall, slower writes. Rebuilds the index.",
        Bounds(10, 2000),
    )
    index_ef_search: int = setting(
        "LONGTAIL_INDEX_EF_SEARCH",
        400,
        "HNSW width while searching. More: better recall, slower searches.",
        Bounds(10, 4000),
    )
    index_merge_rows: int = setting(
        "LONGTAIL_INDEX_MERGE_ROWS",
        2048,
        "Writes that are searched by scanning before they are merged into the graph. More: fewer "
        "merges, slower searches while writes arrive.",
        Bounds(1, 1_000_000),
    )
    max_waiting_writes: int = setting(
        "LONGTAIL_SERVER_MAX_WAITING_WRITES",
        1000,
        "Writes that may wait for the disk; more are refused with RESOURCE_EXHAUSTED.",
        Bounds(1, 100_000),
    )
    max_in_flight: int = setting(
        "LONGTAIL_SERVER_MAX_IN_FLIGHT",
        256,
        "Requests worked on at a time; more are refused with RESOURCE_EXHAUSTED.",
        Bounds(1, 100_000),
    )
    unary_seconds: float = setting(
        "LONGTAIL_SERVER_UNARY_SECONDS",
        30.0,
        "Longest a call may take, whatever deadline it came with.",
        Bounds(0.1, 3600),
    )
    stream_seconds: float = setting(
        "LONGTAIL_SERVER_STREAM_SECONDS",
        3600.0,
        "Longest an import stream may take.",
        Bounds(1, 86_400),
    )
    start_seconds: float = setting(
        "LONGTAIL_SERVER_START_SECONDS",
        60.0,
        "How long to wait at start for the worker.",
        Bounds(0, 3600),
    )
    drain_seconds: float = setting(
        "LONGTAIL_SERVER_DRAIN_SECONDS",
        10.0,
        "How long calls in flight may go on after SIGTERM.",
        Bounds(0, 600),
    )
    log_level: str = setting("LONGTAIL_LOG_LEVEL", "info", "debug, info, warning or error.")

    @property
    def data(self) -> Path:
        """Folder of the store and the index file."""
        return Path(self.home) / "data"
