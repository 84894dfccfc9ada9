"""The worker's settings, read from the environment; `python -m worker --help` prints them."""

from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Bounds, SettingsError, setting
from worker.model import Device


@dataclass(frozen=True)
class WorkerSettings:
    """All that an operator can change."""

    address: str = setting(
        "LONGTAIL_WORKER_ADDRESS", "127.0.0.1:50052", "Where the worker listens (host:port)."
    )
    metrics_address: str = setting(
        "LONGTAIL_WORKER_METRICS_ADDRESS",
        "127.0.0.1:9465",
        "Where Prometheus finds /metrics (host:port).",
    )
    home: str = setting("LONGTAIL_HOME", "var", "State; encoders are in its folder `models`.")
    model: str = setting(
        "LONGTAIL_MODEL",
        "all-MiniLM-L6-v2",
        "The exported encoder: a name under $LONGTAIL_HOME/models, or a path.",
    )
    device: str = setting(
        "LONGTAIL_WORKER_DEVICE",
        "auto",
        "cpu, cuda, or auto: the GPU when it can be used. cuda fails without one.",
    )
    slots: int = setting(
        "LONGTAIL_WORKER_SLOTS",
        0,
        "Inferences at once, each on one core. 0: one for each core this process may use.",
        Bounds(0, 256),
    )
    batch_tokens: int = setting(
        "LONGTAIL_WORKER_BATCH_TOKENS",
        256,
        "Padded tokens in one inference. More helps a GPU; on a CPU it only lengthens the wait.",
        Bounds(1, 1_000_000),
    )
    max_queued_tokens: int = setting(
        "LONGTAIL_WORKER_MAX_QUEUED_TOKENS",
        100_000,
        "Tokens that may wait; past it calls are refused at once instead of answered late.",
        Bounds(1, 100_000_000),
    )
    max_in_flight: int = setting(
        "LONGTAIL_WORKER_MAX_IN_FLIGHT",
        1_000,
        "Calls that may be worked on; past it calls are refused at once.",
        Bounds(1, 100_000),
    )
    unary_seconds: float = setting(
        "LONGTAIL_WORKER_UNARY_SECONDS",
        60.0,
        "Longest that a call may take, whatever deadline its caller gives.",
        Bounds(0.001, 3_600),
    )
    drain_seconds: float = setting(
        "LONGTAIL_WORKER_DRAIN_SECONDS",
        20.0,
        "How long calls in flight may go on after SIGTERM.",
        Bounds(0, 3_600),
    )
    log_level: str = setting("LONGTAIL_LOG_LEVEL", "info", "debug, info, warning or error.")

    def __post_init__(self) -> None:
        """Refuse a device that means nothing; numbers are bounded where they are declared."""
        devices = [device.value for device in Device]
        if self.device not in devices:
            raise SettingsError(
                f"LONGTAIL_WORKER_DEVICE={self.device!r} is not one of {', '.join(devices)}"
            )

    @property
    def artefact(self) -> Path:
        """Return the encoder's folder: a bare name is looked up, anything else is a path."""
        path = Path(self.model)
        return path if path.name != self.model else Path(self.home) / "models" / path
