"""Both images, built from their Containerfiles and run as they are: their size, and a first answer.

`make test-images BASE=localhost/base` needs buildah and an image with Python, of a registry or a
local one; where buildah may not isolate, BUILDAH_ISOLATION=chroot and STORAGE_DRIVER=vfs. Both
listen on free ports of this machine, since not every isolation has a network.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.v1.item_pb2 import Item

from tests.processes import ROOT, free_address

BASE = os.environ.get("BASE", "")
BUILD_SECONDS = 1200
FIRST_ANSWER_SECONDS = 60.0
# How this machine's pip reaches its index holds for the build too.
PIP = [Path("/etc/pip.conf"), Path("/etc/xdg/pip"), Path("/etc/ssl/certs/ca-certificates.crt")]

pytestmark = [
    pytest.mark.timeout(3 * BUILD_SECONDS),
    pytest.mark.skipif(not shutil.which("buildah") or not BASE, reason="no buildah, or no BASE"),
]


def buildah(*arguments: str, seconds: float = BUILD_SECONDS) -> str:
    done = subprocess.run(
        ["buildah", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def built(part: str, name: str, **arguments: str) -> str:
    """Build the image of a part, and return its name."""
    volumes = [f"--volume={path}:{path}:ro" for path in PIP if path.exists()]
    given = [f"--build-arg={key}={value}" for key, value in {"BASE": BASE, **arguments}.items()]
    file = f"deploy/containers/{part}.Containerfile"
    buildah(
        "bud", "--quiet", "--format=docker", *volumes, *given, "--file", file, "--tag", name, "."
    )
    return name


@contextmanager
def container(image: str) -> Iterator[str]:
    name = buildah("from", "--pull-never", image)
    try:
        yield name
    finally:
        buildah("rm", name)


def megabytes(image: str) -> float:
    """Return the size of all that an image holds, its base included."""
    with container(image) as name:
        root = buildah("mount", name)
        shown = subprocess.run(["du", "-sm", root], capture_output=True, text=True, check=True)
        buildah("umount", name)
    return float(shown.stdout.split()[0])


@contextmanager
def running(image: str, command: str, log: Path, **variables: str) -> Iterator[str]:
    """Run the command of an image until the block ends; yield the container."""
    with container(image) as name, log.open("wb") as output:
        given = [f"--env={key}={value}" for key, value in variables.items()]
        process = subprocess.Popen(
            ["buildah", "run", *given, name, "--", command], stdout=output, stderr=output
        )
        try:
            yield name
        finally:
            process.terminate()
            process.wait(60)


def test_the_pair_answers_as_it_is_built(tmp_path: Path) -> None:
    server = built("server", "longtail-test-server")
    bare = built("worker", "longtail-test-worker-bare", ENCODER="")
    worker = built("worker", "longtail-test-worker")
    sizes = {name: megabytes(name) for name in (BASE, server, bare, worker)}
    sys.stdout.write(f"\nMB with the base: {sizes}\n")
    for name in (server, worker):
        format_ = "{{.Docker.Config.User}} {{.Docker.Config.Healthcheck.Test}}"
        shown = buildah("inspect", "--type", "image", "--format", format_, name)
        assert shown.startswith("10001:10001 [CMD python3 -m longtail.client.probe")
    addresses = {
        f"LONGTAIL_{name}_ADDRESS": free_address()
        for name in ("SERVER", "WORKER", "SERVER_METRICS", "WORKER_METRICS")
    }
    logs = [tmp_path / "worker.log", tmp_path / "server.log"]
    began = time.monotonic()
    with (
        running(worker, "longtail-worker", logs[0], **addresses),
        running(server, "longtail-server", logs[1], **addresses) as inside,
        LongtailClient(addresses["LONGTAIL_SERVER_ADDRESS"]) as client,
    ):
        try:
            client.wait_until_serving(timeout=FIRST_ANSWER_SECONDS)
        except TimeoutError:
            pytest.fail("".join(log.read_text() for log in logs))
        client.upsert_items([Item(id="harbour", title="The Harbour Light", text="A robot.")])
        (result,) = client.recommend("robots").results
        seconds = time.monotonic() - began
        sys.stdout.write(f"first answer after {seconds:.1f} s\n")
        assert result.title == "The Harbour Light"
        check = ["python3", "-m", "longtail.client.probe", addresses["LONGTAIL_SERVER_ADDRESS"]]
        buildah("run", inside, "--", *check, seconds=60)
        assert buildah("run", inside, "--", "id", "-u", seconds=60) == "10001"
    buildah("rmi", server, bare, worker)
