"""Settings of the worker; `longtail-worker --help` prints them."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from longtail.runtime.listening import ListenAddress
from longtail.runtime.logs import LOG_FORMATS, LOG_LEVELS
from longtail.runtime.receiver import Receiver
from longtail.runtime.settings import (
    Bounds,
    SettingsError,
    check_closed,
    check_pair,
    listen_address,
    one_of,
    setting,
)
from longtail.runtime.tls import TlsFiles
from longtail.worker.devices import parse_device


@dataclass(frozen=True)
class WorkerSettings:
    """All that an operator can change."""

    address: ListenAddress = listen_address(
        "LONGTAIL_WORKER_ADDRESS", "127.0.0.1:50052", "Where the worker listens (host:port)."
    )
    metrics_address: ListenAddress = listen_address(
        "LONGTAIL_WORKER_METRICS_ADDRESS",
        "127.0.0.1:9463",
        "Where Prometheus finds /metrics (host:port).",
    )
    certificate: str = setting(
        "LONGTAIL_WORKER_CERTIFICATE",
        "",
        "PEM file of the worker's certificate chain: with it the worker speaks TLS. A change is "
        "taken over.",
    )
    private_key: str = setting(
        "LONGTAIL_WORKER_PRIVATE_KEY", "", "PEM file of the private key of the certificate."
    )
    client_authorities: str = setting(
        "LONGTAIL_WORKER_CLIENT_CA",
        "",
        "PEM file of authorities: with it only servers with a certificate of theirs are let in.",
    )
    trust_network: bool = setting(
        "LONGTAIL_TRUST_NETWORK",
        False,
        "Listen beyond this machine without TLS and keys: whoever reaches the ports may do all.",
    )
    home: str = setting("LONGTAIL_HOME", "var", "State; encoders are in its folder `models`.")
    model: str = setting(
        "LONGTAIL_MODEL",
        "all-MiniLM-L6-v2",
        "The exported encoder: a path, or a name under $LONGTAIL_HOME/models or of an installed "
        "longtail-encoder.",
    )
    device: str = setting(
        "LONGTAIL_WORKER_DEVICE",
        "auto",
        "cpu, cuda, cuda:N for the GPU number N, or auto: the GPU when it can be used. "
        "cuda fails without one.",
        check=parse_device,
    )
    gpu_mb: int = setting(
        "LONGTAIL_WORKER_GPU_MB",
        0,
        "MiB that ONNX Runtime may take of each GPU's memory. 0: what the batches need.",
        Bounds(0, 10_000_000),
    )
    slots: int = setting(
        "LONGTAIL_WORKER_SLOTS",
        0,
        "Inferences at once. 0: measured at start, within the cores this process may use.",
        Bounds(0, 256),
    )
    threads: int = setting(
        "LONGTAIL_WORKER_THREADS",
        0,
        "Cores of one inference. More answers a lone text sooner; fewer embed more texts a second. "
        "0: measured at start.",
        Bounds(0, 256),
    )
    batch_tokens: int = setting(
        "LONGTAIL_WORKER_BATCH_TOKENS",
        0,
        "Padded tokens in one inference. On a CPU more than the default only lengthens the wait. "
        "0: 256 on a CPU, 16,384 on a GPU.",
        Bounds(0, 1_000_000),
    )
    max_waste: float = setting(
        "LONGTAIL_WORKER_MAX_WASTE",
        0.10,
        "Share of a batch that may be padding. More fills batches; less computes less for nothing.",
        Bounds(0, 1),
    )
    max_queued_tokens: int = setting(
        "LONGTAIL_WORKER_MAX_QUEUED_TOKENS",
        100_000,
        "Tokens that may wait; past it calls are refused at once instead of answered late.",
        Bounds(1, 100_000_000),
    )
    cache_mb: int = setting(
        "LONGTAIL_WORKER_CACHE_MB",
        64,
        "MiB for vectors of texts that came before; about 500 texts fit in one. 0 keeps none.",
        Bounds(0, 1_000_000),
    )
    golden_seconds: float = setting(
        "LONGTAIL_WORKER_GOLDEN_SECONDS",
        60.0,
        "How often the golden vectors are checked; a worker that fails is NOT_SERVING meanwhile.",
        Bounds(0.1, 86_400),
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
    traces_endpoint: str = setting(
        "LONGTAIL_TRACES_ENDPOINT",
        "",
        "Where traces go, an OTLP/gRPC receiver: http://host:port, or https. Empty: nowhere.",
        check=Receiver.parse,
    )
    traces_ca: str = setting(
        "LONGTAIL_TRACES_CA",
        "",
        "PEM file of the authorities of an https receiver's certificate. Empty: the usual ones.",
    )
    log_level: str = setting(
        "LONGTAIL_LOG_LEVEL", "info", "debug, info, warning or error.", check=one_of(*LOG_LEVELS)
    )
    log_format: str = setting(
        "LONGTAIL_LOG_FORMAT",
        "auto",
        "text, json, or auto: text on a terminal, json elsewhere.",
        check=one_of(*LOG_FORMATS),
    )

    def __post_init__(self) -> None:
        """Raise SettingsError where half of what belongs together is set."""
        check_pair("LONGTAIL_WORKER", self.certificate, self.private_key)
        if self.client_authorities and not self.certificate:
            raise SettingsError("LONGTAIL_WORKER_CLIENT_CA needs LONGTAIL_WORKER_CERTIFICATE")

    def check_closed(self) -> None:
        """Raise SettingsError when other machines reach the worker without mutual TLS."""
        missing = []
        if not self.client_authorities:
            missing.append(
                "set LONGTAIL_WORKER_CERTIFICATE, LONGTAIL_WORKER_PRIVATE_KEY and "
                "LONGTAIL_WORKER_CLIENT_CA for mutual TLS"
            )
        for address in (self.address, self.metrics_address):
            check_closed(
                address, missing, trusted=self.trust_network, variable="LONGTAIL_TRUST_NETWORK"
            )

    @property
    def tls(self) -> TlsFiles | None:
        """What the worker shows, None where it does not encrypt."""
        if not self.certificate:
            return None
        return TlsFiles(self.certificate, self.private_key, self.client_authorities)

    @property
    def artefact(self) -> Path:
        """Return the encoder's folder: a bare name is looked up, anything else is a path."""
        path = Path(self.model)
        if path.name != self.model:
            return path
        exported = Path(self.home) / "models" / path
        # Encoders are installed, too, as distributions of nothing else.
        installed = find_spec("longtail.encoders")
        places = installed.submodule_search_locations if installed is not None else None
        found = (Path(place) / path for place in places or [] if not exported.exists())
        return next((folder for folder in found if folder.exists()), exported)
