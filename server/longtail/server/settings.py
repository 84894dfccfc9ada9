"""Settings of the server; `longtail-server --help` prints them."""

import math
import re
from dataclasses import dataclass
from functools import partial
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
from longtail.server.encoder.addresses import parse_addresses
from longtail.server.store.popularity_weights import PopularityWeights

_ADMIN = "LONGTAIL_SERVER_ADMIN_ADDRESS"
# In microseconds.
DAY = 24 * 3600 * 10**6

# The URL of an engine: what its own client would read otherwise than it is meant does not match.
_ENCODED = r"(?:[^@/?#%\s]|%[0-9A-Fa-f]{2})"
_PLACE = r"(?:\[[^\]@/?#]*\]|[^@/?#:,\[\]]*)(?::[0-9]*)?"
_ENGINE = re.compile(
    rf"[a-z]+://(?:{_ENCODED}*@)?{_PLACE}(?:,{_PLACE})*(?:/{_ENCODED}*)?"
    r"(?:\?(?:[^@#%\s]|%[0-9A-Fa-f]{2})*)?"
)


def _check_store(text: str) -> None:
    # What it says beyond that may be the password.
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("is not postgresql://user:password@host/database")


def _check_engine(text: str) -> None:
    # What it says beyond that may be the password.
    if not text.startswith(("postgresql://", "postgres://", "http://", "https://")):
        raise ValueError("is not postgresql://host/database, or http://host:19530 of a Milvus")
    # What the engines' clients say of what they cannot read is logged, and may be the password.
    if not _ENGINE.fullmatch(text):
        raise ValueError("cannot be read: percent-encode the user and the password")


def _check_depot(text: str) -> None:
    if "://" not in text:
        raise ValueError("is not a URL, such as s3://bucket/folder or file:///folder")


@dataclass(frozen=True)
class Settings:
    """What an operator can set. Each field says what it trades."""

    address: ListenAddress = listen_address(
        "LONGTAIL_SERVER_ADDRESS", "127.0.0.1:50051", "Where the server listens, host:port."
    )
    metrics_address: ListenAddress = listen_address(
        "LONGTAIL_SERVER_METRICS_ADDRESS",
        "127.0.0.1:9464",
        "Where Prometheus reads /metrics, host:port; of each further process one port further.",
    )
    worker_address: str = setting(
        "LONGTAIL_WORKER_ADDRESS",
        "127.0.0.1:50052",
        "Where the worker is found, host:port; or several workers of one encoder, separated by "
        "commas, or dns:///name:port for one at every address of the name.",
        check=parse_addresses,
    )
    home: str = setting("LONGTAIL_HOME", "var", "Folder of all state; the store is in data/.")
    store: str = setting(
        "LONGTAIL_STORE",
        "",
        "Where the store is that several servers share: postgresql://user:password@host/database, "
        "with libpq's options. Empty: a file of SQLite in data/ of LONGTAIL_HOME.",
        check=_check_store,
        secret=True,
    )
    index: str = setting(
        "LONGTAIL_INDEX",
        "",
        "Folder of the index. Servers that have it in common start from what one of them built; "
        "otherwise each builds its own. Empty: data/index in LONGTAIL_HOME.",
    )
    admin: str = setting(
        _ADMIN,
        "",
        "Where AdminService and ReviewService answer, host:port, and then there alone. Empty: "
        "where the rest does.",
        check=partial(ListenAddress.parse, _ADMIN),
    )
    keys: str = setting(
        "LONGTAIL_SERVER_KEYS",
        "",
        "File of API keys, which longtail-keys writes. Empty: keys.json in LONGTAIL_HOME. Once it "
        "is there, nobody is answered without a key; a change is taken over within seconds.",
    )
    certificate: str = setting(
        "LONGTAIL_SERVER_CERTIFICATE",
        "",
        "PEM file of the server's certificate chain: with it the server speaks TLS. A change is "
        "taken over.",
    )
    private_key: str = setting(
        "LONGTAIL_SERVER_PRIVATE_KEY", "", "PEM file of the private key of the certificate."
    )
    client_authorities: str = setting(
        "LONGTAIL_SERVER_CLIENT_CA",
        "",
        "PEM file of authorities: with it only clients with a certificate of theirs are let in.",
    )
    worker_authorities: str = setting(
        "LONGTAIL_WORKER_CA",
        "",
        "PEM file of the authorities of the workers' certificates: with it the server speaks TLS "
        "with them.",
    )
    worker_client_certificate: str = setting(
        "LONGTAIL_WORKER_CLIENT_CERTIFICATE",
        "",
        "PEM file of the certificate chain that the server shows to workers.",
    )
    worker_client_private_key: str = setting(
        "LONGTAIL_WORKER_CLIENT_PRIVATE_KEY", "", "PEM file of the private key of that."
    )
    worker_name: str = setting(
        "LONGTAIL_WORKER_NAME",
        "",
        "The name in the workers' certificates, where it is not the host that they are found by.",
    )
    trust_network: bool = setting(
        "LONGTAIL_TRUST_NETWORK",
        False,
        "Listen beyond this machine without TLS and keys: whoever reaches the ports may do all.",
    )
    candidates: int = setting(
        "LONGTAIL_CANDIDATES",
        200,
        "Items taken from the index for ranking. More find more of the long tail and take longer.",
        Bounds(100, 2000),
    )
    strength: float = setting(
        "LONGTAIL_STRENGTH",
        0.2,
        "The long-tail dial where a request does not set it: 0 is pure relevance.",
        Bounds(0, 1),
    )
    ranking_profile: str = setting(
        "LONGTAIL_RANKING_PROFILE",
        "",
        "File of the ranking profile: weights of relevance, prices of the dial. Empty: "
        "ranking-profile.json in LONGTAIL_HOME. Without the file the defaults hold; a change is "
        "taken over within seconds.",
    )
    words: bool = setting(
        "LONGTAIL_WORDS",
        True,
        "Find items for a query by its words too, beside its meaning. Off: less memory, and names "
        "and codes are found only where the encoder knows them.",
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
    index_engine: str = setting(
        "LONGTAIL_INDEX_ENGINE",
        "",
        "Engine that keeps the HNSW graphs in place of the server's memory, for several servers: "
        "postgresql://user:password@host/database with pgvector, or a Milvus, "
        "http://user:password@host:19530. Slower to ask than memory. Empty: memory.",
        check=_check_engine,
        secret=True,
    )
    index_depot: str = setting(
        "LONGTAIL_INDEX_DEPOT",
        "",
        "Where servers without a folder of the index in common leave what one of them built, for "
        "those that join: a URL that fsspec knows, such as s3://bucket/longtail. Empty: nowhere.",
        check=_check_depot,
        secret=True,
    )
    index_merge_rows: int = setting(
        "LONGTAIL_INDEX_MERGE_ROWS",
        2048,
        "Writes that are searched by scanning before they are merged into the graph. More: fewer "
        "merges, slower searches while writes arrive.",
        Bounds(1, 1_000_000),
    )
    behaviour_fit_seconds: float = setting(
        "LONGTAIL_BEHAVIOUR_FIT_SECONDS",
        1800.0,
        "Longest a regression on what people liked may work, half of the time and beside serving; "
        "beyond, and with 0, similar items go by the cosine alone.",
        Bounds(0, 86_400),
    )
    head_fit_seconds: float = setting(
        "LONGTAIL_HEAD_FIT_SECONDS",
        1800.0,
        "Longest that learning a head from what people liked may work, half of the time and beside "
        "serving. 0: none is learned, and head.npz in LONGTAIL_HOME serves as it is.",
        Bounds(0, 86_400),
    )
    popularity_half_life_days: float = setting(
        "LONGTAIL_POPULARITY_HALF_LIFE_DAYS",
        0.0,
        "Days after which an interaction counts half in popularity. Fewer follow fashions sooner. "
        "0: it counts whole for ever. A change counts all interactions anew.",
        Bounds(0, 36_500),
    )
    popularity_weights: str = setting(
        "LONGTAIL_POPULARITY_WEIGHTS",
        "*=1",
        "How much each type of interaction counts in popularity, such as view=0.1,purchase=5,*=1; "
        "* stands for all others.",
        check=PopularityWeights.parse,
    )
    exposure_half_life_days: float = setting(
        "LONGTAIL_EXPOSURE_HALF_LIFE_DAYS",
        7.0,
        "Days after which an impression counts half against an item. Fewer forget sooner what was "
        "shown too often. A change counts all impressions anew.",
        Bounds(0.01, 3650),
    )
    impression_days: float = setting(
        "LONGTAIL_IMPRESSION_DAYS",
        90.0,
        "Days that impressions are kept. More reach further back in reports and take more disk.",
        Bounds(1, 3650),
    )
    attribute_names: int = setting(
        "LONGTAIL_ATTRIBUTE_NAMES",
        1000,
        "Names of attributes that the catalogue may have, dotted paths included: an item that "
        "would bring more is refused. More take more memory.",
        Bounds(1, 1_000_000),
    )
    pseudonym_key: str = setting(
        "LONGTAIL_PSEUDONYM_KEY",
        "",
        "File of a secret, at least 32 characters, outside of data/: with it the store has "
        "pseudonyms in place of the ids of persons, made with that key. For a store from its "
        "beginning; empty: ids as they come.",
    )
    interaction_days: float = setting(
        "LONGTAIL_INTERACTION_DAYS",
        0.0,
        "Days that interactions are kept, by the time of each; once a day the older ones are "
        "deleted. 0: until they are deleted otherwise.",
        Bounds(0, 36_500),
    )
    snapshots: int = setting(
        "LONGTAIL_SNAPSHOTS",
        10,
        "Snapshots that there may be; one more is refused with FAILED_PRECONDITION.",
        Bounds(1, 10_000),
    )
    snapshots_in: str = setting(
        "LONGTAIL_SNAPSHOT_FOLDER",
        "",
        "Folder of the snapshots. Servers of one store in PostgreSQL have it in common, and make "
        "none without it. Empty: data/snapshots in LONGTAIL_HOME.",
    )
    snapshots_gb: float = setting(
        "LONGTAIL_SNAPSHOTS_GB",
        100.0,
        "Gigabytes that snapshots may take together; one that would go beyond is refused with "
        "FAILED_PRECONDITION.",
        Bounds(0.001, 1_000_000),
    )
    audit_mb: float = setting(
        "LONGTAIL_AUDIT_MB",
        100.0,
        "Megabytes of each process's audit, in audit/ of LONGTAIL_HOME; beyond, the oldest tenth "
        "goes.",
        Bounds(0.01, 100_000),
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
        "Calls worked on at a time, of which one caller has at most three quarters; more are "
        "refused with RESOURCE_EXHAUSTED.",
        Bounds(1, 100_000),
    )
    max_streams: int = setting(
        "LONGTAIL_SERVER_MAX_STREAMS",
        64,
        "Imports and exports at a time, of which one caller has at most a quarter; more are "
        "refused with RESOURCE_EXHAUSTED.",
        Bounds(1, 10_000),
    )
    idle_seconds: float = setting(
        "LONGTAIL_SERVER_STREAM_IDLE_SECONDS",
        30.0,
        "How long an import may send nothing, or an export be left unread, before it is ended.",
        Bounds(0.1, 3600),
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
    traces_ratio: float = setting(
        "LONGTAIL_TRACES_RATIO",
        1.0,
        "Share of calls to trace, of those whose callers do not say. Fewer take less of the "
        "processor and of the receiver.",
        Bounds(0, 1),
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
        check_pair("LONGTAIL_SERVER", self.certificate, self.private_key)
        if self.client_authorities and not self.certificate:
            raise SettingsError("LONGTAIL_SERVER_CLIENT_CA needs LONGTAIL_SERVER_CERTIFICATE")
        if self.index_depot and self.index_engine:
            raise SettingsError(
                "LONGTAIL_INDEX_DEPOT: graphs that an engine keeps are shared already, with a "
                "folder of the index in common"
            )
        check_pair(
            "LONGTAIL_WORKER_CLIENT", self.worker_client_certificate, self.worker_client_private_key
        )
        if self.worker_client_certificate and not self.worker_authorities:
            raise SettingsError("LONGTAIL_WORKER_CLIENT_CERTIFICATE needs LONGTAIL_WORKER_CA")

    def check_closed(self) -> None:
        """Raise SettingsError when other machines reach the server without TLS and keys."""
        missing = []
        if not self.certificate:
            missing.append(
                "set LONGTAIL_SERVER_CERTIFICATE and LONGTAIL_SERVER_PRIVATE_KEY for TLS"
            )
        if not self.keys_path.exists():
            missing.append("make a key with `longtail-keys add`")
        admin = [self.admin_address] if self.admin_address is not None else []
        for address in (self.address, self.metrics_address, *admin):
            check_closed(
                address, missing, trusted=self.trust_network, variable="LONGTAIL_TRUST_NETWORK"
            )

    @property
    def admin_address(self) -> ListenAddress | None:
        """Where administration has a listener of its own, None where it has none."""
        return ListenAddress.parse(_ADMIN, self.admin) if self.admin else None

    @property
    def tls(self) -> TlsFiles | None:
        """What the server shows, None where it does not encrypt."""
        if not self.certificate:
            return None
        return TlsFiles(self.certificate, self.private_key, self.client_authorities)

    @property
    def worker_tls(self) -> TlsFiles | None:
        """What the server shows to workers, and believes of them; None without encryption."""
        if not self.worker_authorities:
            return None
        return TlsFiles(
            self.worker_client_certificate,
            self.worker_client_private_key,
            self.worker_authorities,
        )

    @property
    def type_weights(self) -> PopularityWeights:
        """The weights of types of interactions in popularity."""
        return PopularityWeights.parse(self.popularity_weights)

    @property
    def popularity_half_life(self) -> float:
        """The half-life of interactions in popularity, in microseconds; inf without decay."""
        return self.popularity_half_life_days * DAY or math.inf

    @property
    def profile_path(self) -> Path:
        """The file of the ranking profile, there or not."""
        return Path(self.ranking_profile or Path(self.home) / "ranking-profile.json")

    @property
    def head_path(self) -> Path:
        """The file of the head, there or not."""
        return Path(self.home) / "head.npz"

    @property
    def keys_path(self) -> Path:
        """The file of API keys, there or not."""
        return Path(self.keys or Path(self.home) / "keys.json")

    @property
    def audit(self) -> Path:
        """Folder of the audit."""
        return Path(self.home) / "audit"

    @property
    def index_folder(self) -> Path:
        """Folder of the generations of the index."""
        return Path(self.index) if self.index else self.data / "index"

    @property
    def snapshot_folder(self) -> Path:
        """Folder of the snapshots."""
        return Path(self.snapshots_in) if self.snapshots_in else self.data / "snapshots"

    @property
    def data(self) -> Path:
        """Folder of the store, where that is a file, and of what belongs to it."""
        return Path(self.home) / "data"
