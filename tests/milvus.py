"""A real Milvus for tests: the standalone server of the wheel `milvus`, etcd and its log inside.

The wheel's own starter leaves the server running when it is told to end; here the server is the
child itself. Etcd listens on loopback alone; the ports of gRPC are on every address, whatever
address they are given, so this is for machines that nobody else reaches.
"""

import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import yaml

from tests.processes import PATIENCE_SECONDS, ROOT, free_address

INSTALLED = find_spec("milvus") is not None
# Unpacked once, 246 MB.
UNPACKED = Path(os.environ.get("LONGTAIL_HOME", ROOT / "var")) / "cache" / "milvus"
ETCD_FILE, LOG_FILE = "etcd.yaml", "server.log"
STOP_SECONDS = 10.0
# That have an address of their own; the other ports are those of parts in the same process.
PARTS = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")


@dataclass
class Milvus:
    """A server of its own with its data in `folder`.

    It may be killed and started again; what was written is there then, at the same address.
    """

    folder: Path
    port: int
    metrics_port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on what is in its folder, and wait until it says that it is well."""
        with (self.folder / LOG_FILE).open("ab") as log:
            self._process = self._started(log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_well():
            said = (self.folder / LOG_FILE).read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, as its administrator would; nothing where it does not run."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a failure would; nothing where it does not run."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it do nothing, its connections open, until `go_on`."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work again."""
        os.kill(self.pid, signal.SIGCONT)

    def _is_well(self) -> bool:
        with suppress(OSError, urllib.error.URLError):
            url = f"http://127.0.0.1:{self.metrics_port}/healthz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return b"OK" in answer.read()
        return False

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                # One that was killed before may wait for itself.
                process.kill()
                process.wait(PATIENCE_SECONDS)

    def _started(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        program = UNPACKED / "bin" / "milvus"
        return subprocess.Popen(
            # It ends with who started it, were that killed.
            ["setpriv", "--pdeathsig", "INT", str(program), "run", "standalone"],
            cwd=self.folder,
            env={
                **os.environ,
                "DEPLOY_MODE": "STANDALONE",
                "ETCD_CONFIG_PATH": str(self.folder / ETCD_FILE),
                "METRICS_PORT": str(self.metrics_port),
                "MILVUS_RUN_DIR": str(self.folder / "run"),
                "LD_LIBRARY_PATH": str(program.parent),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def running() -> Iterator[Milvus]:
    """Run a server with nothing in it until the block ends."""
    wheel = importlib.import_module("milvus")
    folder = Path(tempfile.mkdtemp(prefix="longtail-milvus-"))
    config = wheel.MilvusServerConfig(data_dir=str(folder))
    names = [name for name in config.configurable_items if name.endswith("_port")]
    config.update(**{name: _free_port() for name in names})
    for part in PARTS:
        config.set(f"{part}.ip", "127.0.0.1")
    config.set("proxy.internalPort", _free_port())
    config.resolve()
    client, peer = (f"http://127.0.0.1:{port}" for port in (config.get("etcd_port"), _free_port()))
    etcd = {
        "name": "default",
        "data-dir": str(folder / "data" / "etcd.data"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    (folder / ETCD_FILE).write_text(yaml.safe_dump(etcd))
    UNPACKED.mkdir(parents=True, exist_ok=True)
    wheel._initialize_data_files(str(UNPACKED))
    server = Milvus(folder, int(config.get("proxy_port")), _free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    return int(free_address().rpartition(":")[2])
