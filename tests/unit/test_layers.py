"""Who may import what: the layering that keeps the parts apart."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS, CLIENT = "longtail.v1", "longtail.client"
OURS = {"runtime", "worker", "server", "export", "demo", "loadtest", STUBS, CLIENT}
ALLOWED = {
    "runtime": set(),
    "worker": {"runtime", STUBS},
    "server": {"runtime", STUBS},
    "export": {"worker", "runtime"},
    "demo": {"runtime", STUBS, CLIENT},
    "loadtest": {"runtime", STUBS, CLIENT},
    "client": {STUBS},
}
# A library and the only places that may import it.
CONFINED = {
    "hnswlib": ["server/index.py"],
    "onnxruntime": ["worker/model.py", "export/"],
    "sqlalchemy": ["server/store/"],
    "alembic": ["server/store/"],
    "grpc": ["runtime/", "client/", "demo/", "loadtest/", "server/services/", "server/encoder.py",
             "server/__main__.py", "worker/service.py", "worker/__main__.py"],
    "torch": ["export/"],
    "transformers": ["export/"],
    "optimum": ["export/"],
}  # fmt: skip


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder: str) -> list[Path]:
    return [file for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts]


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_package_imports_only_those_below_it(folder: str) -> None:
    own = CLIENT if folder == "client" else folder
    found = files(folder)
    assert found
    for file in found:
        for name in imports(file):
            for package in OURS - {own}:
                if name == package or name.startswith(f"{package}."):
                    assert package in ALLOWED[folder], f"{file} imports {name}"


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    places = []
    for file in (file for folder in ALLOWED for file in files(folder)):
        path = file.relative_to(ROOT).as_posix()
        for name in imports(file):
            if name == library or name.startswith(f"{library}."):
                assert any(path.startswith(place) for place in CONFINED[library]), path
                places.append(path)
    assert places
