"""Each wheel takes its share of what pyproject.toml says of the whole, and nothing is left over."""

import tomllib

from deploy.wheels import PARTS, metadata
from tests.processes import ROOT
from tests.unit.test_layers import MAY_IMPORT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {"protos": "longtail.v1"}
SHIPPED = [part for part in PARTS if part.name != "worker-gpu"]


def test_every_command_is_in_one_wheel() -> None:
    shares = [metadata(PROJECT, part)["scripts"] for part in SHIPPED]
    assert sum(map(len, shares)) == len(PROJECT["project"]["scripts"])
    assert {name for share in shares for name in share} == set(PROJECT["project"]["scripts"])


def test_a_wheel_needs_what_its_part_may_import() -> None:
    for part in PARTS:
        needed = {PACKAGES.get(name, f"longtail.{name}") for name in part.parts}
        allowed = MAY_IMPORT.get(f"longtail.{part.folder}", set())
        assert needed == allowed


def test_what_the_parts_of_one_wheel_need_is_there_once_and_without_a_checkout() -> None:
    for part in PARTS:
        share = metadata(PROJECT, part)
        needs = share["dependencies"]
        assert not any(need.startswith("longtail[") for need in needs)
        assert len(needs) == len(set(needs))
        assert share["version"] == PROJECT["project"]["version"]
    server = next(part for part in PARTS if part.name == "server")
    assert "longtail-runtime==0.1.0" in metadata(PROJECT, server)["dependencies"]
