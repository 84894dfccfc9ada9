"""The layers of the tree: which of our packages may import which, and where libraries stay."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CLIENT, STUBS = "longtail.client", "longtail.v1"
RUNTIME, WORKER, EXPORT = "longtail.runtime", "longtail.worker", "longtail.export"
SERVER = "longtail.server"
FOLDERS = {
    RUNTIME: "runtime/longtail/runtime",
    CLIENT: "client/longtail/client",
    WORKER: "worker/longtail/worker",
    SERVER: "server/longtail/server",
    EXPORT: "export/longtail/export",
    "demo": "demo",
    "loadtest": "loadtest",
    "bench": "bench",
    "evaluation": "evaluation",
    "training": "training",
}
# What each may import of ours beside itself.
MAY_IMPORT = {
    RUNTIME: set[str](),
    CLIENT: {STUBS},
    WORKER: {RUNTIME, STUBS},
    SERVER: {RUNTIME, STUBS},
    EXPORT: {RUNTIME, WORKER, STUBS},
    "demo": {RUNTIME, CLIENT, EXPORT, STUBS},
    "loadtest": {RUNTIME, CLIENT, STUBS},
    "bench": {RUNTIME, WORKER, SERVER, EXPORT, STUBS, "demo", "loadtest"},
    "evaluation": {RUNTIME, WORKER, SERVER, "demo"},
    "training": {RUNTIME, WORKER, SERVER, EXPORT, "evaluation"},
}
# Where a part is laid out in layers: what each package of it may import of the part beside itself.
CALLS, IMPORTING, COMMANDS = f"{CLIENT}.calls", f"{CLIENT}.importing", f"{CLIENT}.cli"
MAY_IMPORT_WITHIN: dict[str, set[str]] = {
    CALLS: set(),
    IMPORTING: {CALLS},
    COMMANDS: {CALLS, IMPORTING},
    **{
        f"{SERVER}.{name}": {f"{SERVER}.{other}" for other in below.split()}
        for name, below in {
            "process": "",
            "store": "process",
            "ranking": "",
            "catalogue": "process store ranking settings",
            "encoder": "store",
            "write": "process store",
            "recommend": "store ranking catalogue",
            "operations": "process store catalogue encoder write settings",
            "upkeep": "process store ranking catalogue settings",
            "rpc": "process store ranking catalogue encoder write recommend operations",
        }.items()
    },
}
# The only files or folders that may import a library.
HOMES = {
    "hnswlib": ["server/longtail/server/catalogue/index/hnsw.py", "bench/state.py"],
    "pymilvus": ["server/longtail/server/catalogue/index/engines/milvus.py", "bench/engines.py"],
    "onnxruntime": ["worker/longtail/worker/model.py"],
    "onnxruntime.quantization": ["export", "bench/foreign/int8_graph.py"],
    "onnxruntime.transformers": ["export"],
    "sqlalchemy": ["server/longtail/server/store"],
    "alembic": ["server/longtail/server/store"],
    "psycopg": [
        "bench/capacity",
        "server/longtail/server/catalogue/index/engines/pgvector",
        "server/longtail/server/store/postgresql",
        "bench/engines.py",
    ],
    "fsspec": [
        "client/longtail/client/importing/content.py",
        "server/longtail/server/catalogue/index/depot.py",
    ],
    "matplotlib": ["evaluation/report", "loadtest/page.py"],
    "fairsearchcore": ["evaluation/outside"],
    "fairdiverse": ["evaluation/outside"],
    "pyversity": ["evaluation/outside"],
    "pytrec_eval": ["evaluation/cross_check.py"],
    "implicit": ["evaluation/base"],
    "opentelemetry": ["runtime/longtail/runtime/span_export.py"],
}
# Where gRPC does not enter: these compute.
WITHOUT_GRPC = [
    "server/longtail/server/ranking",
    "server/longtail/server/catalogue",
    "server/longtail/server/recommend",
    "server/longtail/server/store",
    "worker/longtail/worker/batcher.py",
]


def imports(source: str) -> Iterator[str]:
    """Yield the dotted names that a module imports, those inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            assert node.module is not None
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def is_inside(file: str, place: str) -> bool:
    return Path(file).is_relative_to(place)


def package_of(file: str, part: str) -> str:
    """Return the package within a part, `longtail.client.cli`, that a file is in, or the part."""
    inside = Path(file).relative_to(FOLDERS[part]).parts[:-1]
    return ".".join((part, *inside[:1]))


def crossed(file: str, source: str) -> list[str]:
    """Return what is imported by `file`, relative to the root, against the rules."""
    package = next(name for name, folder in FOLDERS.items() if is_inside(file, folder))
    allowed = MAY_IMPORT[package] | {package}
    # Of its own part a package may import less than the part's other packages may.
    inner = package_of(file, package)
    if inner in MAY_IMPORT_WITHIN:
        allowed = MAY_IMPORT[package] | MAY_IMPORT_WITHIN[inner] | {inner}
    wrong = []
    for name in imports(source):
        ours = any(is_within(name, top) for top in (*FOLDERS, "longtail", "tests"))
        if ours and not any(is_within(name, other) for other in allowed):
            wrong.append(name)
        # The longest name that fits is the rule: a part of a library may have another home.
        rules = [library for library in HOMES if is_within(name, library)]
        if rules and not any(is_inside(file, home) for home in HOMES[max(rules, key=len)]):
            wrong.append(name)
        if is_within(name, "grpc") and any(is_inside(file, place) for place in WITHOUT_GRPC):
            wrong.append(name)
    return wrong


def modules() -> list[str]:
    found = [path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@pytest.mark.parametrize("file", modules())
def test_no_layer_is_crossed(file: str) -> None:
    assert crossed(file, (ROOT / file).read_text()) == []


def test_every_place_that_the_rules_name_exists() -> None:
    homes = [home for places in HOMES.values() for home in places]
    inner = [name.rpartition(".") for name in MAY_IMPORT_WITHIN]
    folders = [*FOLDERS.values(), *(f"{FOLDERS[part]}/{name}" for part, _, name in inner)]
    missing = [p for p in (*folders, *homes, *WITHOUT_GRPC) if not (ROOT / p).exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("runtime/longtail/runtime/errors.py", "import longtail.server.catalogue.index"),
        ("client/longtail/client/calls/aio.py", "from longtail.runtime.errors import NotFound"),
        ("client/longtail/client/calls/aio.py", "from longtail.client.importing import rows"),
        ("client/longtail/client/importing/rows.py", "from longtail.client.cli import output"),
        ("client/longtail/client/cli/items.py", "from longtail.client import LongtailClient"),
        ("worker/longtail/worker/service.py", "from longtail.server import catalogue"),
        (
            "server/longtail/server/encoder/encoder.py",
            "def f():\n    from longtail.worker.model import Model",
        ),
        ("server/longtail/server/catalogue/replica.py", "from longtail.client import Client"),
        ("server/longtail/server/catalogue/replica.py", "from longtail import client"),
        ("export/longtail/export/build.py", "import longtail.server"),
        (f"{FOLDERS[SERVER]}/write/writer.py", "from longtail.server.rpc.read import item"),
        (f"{FOLDERS[SERVER]}/ranking/quota.py", "from longtail.server.catalogue import state"),
        (f"{FOLDERS[SERVER]}/recommend/context.py", "from longtail.server.rpc.read import rules"),
        ("demo/stack.py", "import loadtest.report"),
        ("server/longtail/server/recommend/recommender.py", "from evaluation.world import World"),
        ("evaluation/run.py", "import matplotlib.figure"),
        ("loadtest/report.py", "import longtail.server.settings"),
        ("worker/longtail/worker/model.py", "from tests import processes"),
        ("server/longtail/server/catalogue/replica.py", "import hnswlib"),
        ("worker/longtail/worker/embedder.py", "import onnxruntime"),
        ("export/longtail/export/graph.py", "from onnxruntime import InferenceSession"),
        ("worker/longtail/worker/model.py", "import onnxruntime.quantization"),
        (
            "server/longtail/server/catalogue/replica.py",
            "from sqlalchemy.exc import OperationalError",
        ),
        ("server/longtail/server/write/writer.py", "from alembic import command"),
        ("server/longtail/server/store/group_commit.py", "import psycopg"),
        ("server/longtail/server/ranking/quota.py", "import grpc.aio"),
        ("worker/longtail/worker/batcher.py", "from grpc import StatusCode"),
    ],
)
def test_a_crossing_is_seen(file: str, source: str) -> None:
    assert len(crossed(file, source)) == 1
