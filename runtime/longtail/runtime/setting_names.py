"""Every variable of ours, whoever reads it: processes share an environment, and also a file.

So a name that another program reads is no mistake, while one that nobody reads is.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "LONGTAIL_"
# Names the file of settings, so it is none itself.
FILE = f"{PREFIX}CONFIG"


def _named(names: str) -> frozenset[str]:
    return frozenset(f"{PREFIX}{name}" for name in names.split())


# What the server and the worker read.
SETTINGS = _named("""
    ATTRIBUTE_NAMES AUDIT_MB BEHAVIOUR_FIT_SECONDS CANDIDATES EXPOSURE_HALF_LIFE_DAYS
    HEAD_FIT_SECONDS HOME IMPRESSION_DAYS INDEX INDEX_DEPOT INDEX_EF_CONSTRUCTION INDEX_EF_SEARCH
    INDEX_ENGINE INDEX_LINKS INDEX_MERGE_ROWS INTERACTION_DAYS LOG_FORMAT LOG_LEVEL MODEL
    POPULARITY_HALF_LIFE_DAYS POPULARITY_WEIGHTS PSEUDONYM_KEY RANKING_PROFILE SERVER_ADDRESS
    SERVER_ADMIN_ADDRESS SERVER_CERTIFICATE SERVER_CLIENT_CA SERVER_DRAIN_SECONDS SERVER_KEYS
    SERVER_MAX_IN_FLIGHT SERVER_MAX_STREAMS SERVER_MAX_WAITING_WRITES SERVER_METRICS_ADDRESS
    SERVER_PRIVATE_KEY SERVER_START_SECONDS SERVER_STREAM_IDLE_SECONDS SERVER_STREAM_SECONDS
    SERVER_UNARY_SECONDS SNAPSHOTS SNAPSHOTS_GB SNAPSHOT_FOLDER STORE STRENGTH TRACES_CA
    TRACES_ENDPOINT TRACES_RATIO TRUST_NETWORK WORDS WORKER_ADDRESS WORKER_BATCH_TOKENS WORKER_CA
    WORKER_CACHE_MB
    WORKER_CERTIFICATE WORKER_CLIENT_CA WORKER_CLIENT_CERTIFICATE WORKER_CLIENT_PRIVATE_KEY
    WORKER_DEVICE WORKER_DRAIN_SECONDS WORKER_GOLDEN_SECONDS WORKER_GPU_MB WORKER_MAX_IN_FLIGHT
    WORKER_MAX_QUEUED_TOKENS WORKER_MAX_WASTE WORKER_METRICS_ADDRESS WORKER_NAME WORKER_PRIVATE_KEY
    WORKER_SLOTS WORKER_THREADS WORKER_UNARY_SECONDS
""")
# What only the client, its command line, or tests and benches read; none of it is in a file.
OTHERS = _named("API_KEY API_KEY_FILE AUTHOR CA CERTIFICATE DATA FAULTS PRIVATE_KEY")

# Kubernetes tells the pods of a namespace of each service there, unasked: one that is called
# longtail-server makes LONGTAIL_SERVER_PORT=tcp://10.0.0.1:50051 and the like.
_SERVICE_LINK = re.compile(
    r"\w*_SERVICE_(HOST|PORT(_\w+)?)=.*"
    r"|\w*_PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*"
    r"|\w*_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*"
)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that begin as ours do and that nothing of ours reads."""
    return [
        name
        for name, text in environment.items()
        if name.startswith(PREFIX) and name not in SETTINGS | OTHERS | {FILE}
        if not _SERVICE_LINK.fullmatch(f"{name}={text}")
    ]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of `names` that is most like `name`."""
    return difflib.get_close_matches(name, sorted(names), n=1, cutoff=0)[0]


def key(variable: str) -> str:
    """Return the name of a setting in a file: LONGTAIL_INDEX_LINKS is index_links there."""
    return variable.removeprefix(PREFIX).lower()


def flag(variable: str) -> str:
    """Return the flag of a setting: LONGTAIL_INDEX_LINKS is --index-links."""
    return f"--{key(variable).replace('_', '-')}"
