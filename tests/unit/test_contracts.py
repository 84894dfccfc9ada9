"""Whoever takes the contracts has all that they import, with whichever tool they read them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import status_pb2
from longtail.server.rpc.read.item_update import FIELDS
from longtail.v1.item_pb2 import Item

from tests.processes import ROOT

PROTOS = ROOT / "protos"
CONTRACTS = sorted((PROTOS / "longtail").rglob("*.proto"))
GOOGLES = PROTOS / "google" / "rpc" / "status.proto"
# What protoc, buf and the loaders of other languages bring themselves.
WELL_KNOWN = "google/protobuf/"


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """Return a copy of the contracts' folder, without the stubs, where nothing of ours is near."""
    stubs = shutil.ignore_patterns("*.py", "*.pyi", "__pycache__")
    return Path(shutil.copytree(PROTOS, tmp_path / "taken", ignore=stubs))


def run(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def descriptor_set(folder: Path) -> list[FileDescriptorProto]:
    """Return what protoc makes of the contracts, which is what every generator is given."""
    protoc: list[str | Path] = [sys.executable, "-m", "grpc_tools.protoc", "-I."]
    contracts = [contract.relative_to(PROTOS) for contract in CONTRACTS]
    run(folder, *protoc, "--include_imports", "--descriptor_set_out=longtail.binpb", *contracts)
    return list(FileDescriptorSet.FromString((folder / "longtail.binpb").read_bytes()).file)


def test_all_that_is_imported_lies_beside_the_contracts() -> None:
    assert CONTRACTS
    for contract in CONTRACTS:
        for name in re.findall(r'^import "(.+)";$', contract.read_text(), re.MULTILINE):
            assert name.startswith(WELL_KNOWN) or (PROTOS / name).exists(), (contract, name)


def test_the_mask_of_an_update_is_told_in_full() -> None:
    contract = (PROTOS / "longtail" / "v1" / "item_service.proto").read_text()
    [told] = re.findall(r"fields of Item: ([\w,\s/]+);", contract)
    assert set(re.findall(r"\w+", told)) == FIELDS
    # An id names the item, and times are the server's.
    fixed = {"id", "create_time", "update_time"}
    assert {field.name for field in Item.DESCRIPTOR.fields} - fixed == FIELDS


def test_a_descriptor_set_for_generic_tools_holds_every_method(taken: Path) -> None:
    files = descriptor_set(taken)
    # A pool of its own takes a file only after all that the file imports.
    pool = DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    shown = {
        f"{file.package}.{service.name}/{method.name}"
        for file in files
        for service in file.service
        for method in service.method
    }
    declared = {
        f"longtail.v1.{service}/{method}"
        for contract in CONTRACTS
        for service, body in re.findall(
            r"^service (\w+) {(.*?)^}", contract.read_text(), re.M | re.S
        )
        for method in re.findall(r"^  rpc (\w+)", body, re.M)
    }
    assert shown == declared
    for name in shown:
        service, method = name.split("/")
        assert pool.FindServiceByName(service).FindMethodByName(method).output_type.fields


def test_buf_builds_the_folder_by_itself(taken: Path) -> None:
    run(taken, Path(sys.executable).with_name("buf"), "build", ".", "-o", "longtail.binpb")
    assert (taken / "longtail.binpb").stat().st_size > 10_000


def test_what_is_googles_is_as_google_has_it() -> None:
    # The stubs in Python import what was generated from the package's own.
    assert GOOGLES.read_text() == Path(status_pb2.__file__).with_name("status.proto").read_text()
    assert "Apache License, Version 2.0" in GOOGLES.read_text()


@pytest.mark.parametrize(
    ("before", "after", "breaks"),
    [
        ("  string id = 1;", "  string ids = 1;", True),
        ("  string id = 1;", "  string id = 1;\n  string added = 999;", False),
    ],
)
def test_a_change_that_breaks_what_was_released_is_found(
    taken: Path, before: str, after: str, breaks: bool
) -> None:
    shutil.copy(ROOT / "buf.yaml", taken.parent)
    taken = taken.rename(taken.with_name("protos"))
    file = taken / "longtail" / "v1" / "item.proto"
    file.write_text(file.read_text().replace(before, after, 1))
    buf = Path(sys.executable).with_name("buf")
    command = [str(buf), "breaking", "--against", str(taken / "released.binpb")]
    done = subprocess.run(command, cwd=taken.parent, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, "item.proto" in done.stdout) == (breaks, breaks), done.stderr
