"""`python -m deploy.wheels DIST`: a wheel of each part, so that whoever needs one installs one.

In a checkout all parts are one distribution, which is not shipped. What they need, their version
and their commands stand once, in its pyproject.toml, and each wheel takes its share of it.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONSTRAINTS = "constraints.txt"
ENCODER_FILES = ("manifest.json", "model.onnx", "tokenizer.json")
# Its sources alone are on the index. Without -march=native, so that the wheel runs on any machine
# of the last ten years, and not only on those like the one that built it.
_FROM_SOURCE = "hnswlib"
_ANY_MACHINE = {"HNSWLIB_NO_NATIVE": "1"}
_X86 = {"CFLAGS": "-march=x86-64-v3"}


@dataclass(frozen=True)
class Part:
    """A wheel: its folder of the tree, the parts that it needs, and its extras of pyproject.toml.

    `optional` are those that it offers as extras of its own.
    """

    name: str
    folder: str
    description: str
    parts: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """What pip calls it."""
        return f"longtail-{self.name}"


_SERVICE, _TRACING = ("protos", "runtime"), ("tracing",)
_SHARED = ("postgresql", "milvus", "storage")
PARTS = (
    Part("protos", "protos", "Longtail's contracts and the stubs of them"),
    Part("runtime", "runtime", "What Longtail's services share", (), ("service",)),
    Part("client", "client", "Longtail's client", ("protos",), (), ("cli",)),
    Part("server", "server", "Longtail's server", _SERVICE, ("server",), (*_TRACING, *_SHARED)),
    Part("worker", "worker", "Longtail's worker", _SERVICE, ("worker", "cpu"), _TRACING),
    Part("worker-gpu", "worker", "Longtail's worker", _SERVICE, ("worker", "gpu"), _TRACING),
    Part("export", "export", "Longtail's export", (*_SERVICE, "worker"), ("export",)),
)


def main(arguments: Sequence[str]) -> int:
    """Build all wheels into a folder, with that of the encoder in another; return the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m deploy.wheels DIST ENCODER\n")
        return 2
    dist, encoder = map(Path, arguments)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dist.mkdir(exist_ok=True)
    for old in dist.glob("longtail_*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        staged = [_stage(Path(scratch), project, part) for part in PARTS]
        staged.append(_stage_encoder(Path(scratch), project, encoder))
        _pip_wheel(dist, ["--no-build-isolation", *map(str, staged)])
    if not any(dist.glob(f"{_FROM_SOURCE}-*.whl")):
        native = _X86 if platform.machine() == "x86_64" else {}
        source = ["--no-cache-dir", "--constraint", str(ROOT / CONSTRAINTS), _FROM_SOURCE]
        _pip_wheel(dist, source, _ANY_MACHINE | native)
    shutil.copy(ROOT / CONSTRAINTS, dist)
    return 0


def metadata(project: Mapping[str, Any], part: Part) -> dict[str, Any]:
    """Return the part's share of what `project`, a pyproject.toml, says of the whole."""
    whole = project["project"]
    extras = whole["optional-dependencies"]
    ours = [f"longtail-{name}=={whole['version']}" for name in part.parts]
    theirs = [need for extra in part.extras for need in _outside(extras[extra])]
    module = f"longtail.{part.folder}."
    return {
        "name": part.distribution,
        "version": whole["version"],
        "description": f"{part.description}.",
        "requires-python": whole["requires-python"],
        "license": whole["license"],
        "license-files": ["LICENSE"],
        "dependencies": [*ours, *whole["dependencies"], *theirs],
        "optional-dependencies": {name: _outside(extras[name]) for name in part.optional},
        "scripts": {
            name: target for name, target in whole["scripts"].items() if target.startswith(module)
        },
    }


def _outside(requirements: Sequence[str]) -> list[str]:
    """Return the requirements that are not extras of ours."""
    return [each for each in requirements if not each.startswith("longtail[")]


def _stage(scratch: Path, project: Mapping[str, Any], part: Part) -> Path:
    """Lay out the sources of a part, for setuptools; return their folder."""
    folder = scratch / part.name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / part.folder / "longtail", folder / "longtail", ignore=ignored)
    data = project["tool"]["setuptools"]["package-data"]
    return _write(folder, metadata(project, part), data)


def _stage_encoder(scratch: Path, project: Mapping[str, Any], encoder: Path) -> Path:
    """Lay out an exported encoder as a distribution of data, which a worker finds by its name."""
    folder = scratch / "encoder"
    place = folder / "longtail" / "encoders" / encoder.name
    place.mkdir(parents=True)
    for name in ENCODER_FILES:
        shutil.copy(encoder / name, place)
    whole = project["project"]
    described = {
        "name": f"longtail-encoder-{encoder.name.lower()}",
        "version": whole["version"],
        "description": f"{encoder.name} as Longtail's worker runs it.",
        "requires-python": whole["requires-python"],
        "license": whole["license"],
        "license-files": ["LICENSE"],
    }
    return _write(folder, described, {"longtail.encoders": ["*/*"]})


def _write(folder: Path, described: Mapping[str, Any], data: Mapping[str, Sequence[str]]) -> Path:
    shutil.copy(ROOT / "LICENSE", folder)
    tables = {
        "project": {k: v for k, v in described.items() if not isinstance(v, dict)},
        **{f"project.{k}": v for k, v in described.items() if isinstance(v, dict)},
        "tool.setuptools.packages.find": {"include": ["longtail*"]},
        "tool.setuptools.package-data": data,
    }
    # JSON's strings and lists are TOML's.
    text = "\n".join(
        "\n".join([f"[{name}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items())])
        for name, table in tables.items()
    )
    (folder / "pyproject.toml").write_text(f"{text}\n", encoding="utf-8")
    return folder


def _pip_wheel(
    dist: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    command += [str(dist), *arguments]
    subprocess.run(command, env={**os.environ, **(environment or {})}, check=True)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
