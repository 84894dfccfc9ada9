"""The real Prometheus, as `make test-observability` fetches it, for tests to be scraped by."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.processes import PATIENCE_SECONDS, ROOT, free_address

FETCHED = Path(os.environ.get("LONGTAIL_HOME", ROOT / "var")) / "cache" / "prometheus"


def program(name: str) -> str | None:
    """Return where `prometheus` or `promtool` is, None where it was not fetched."""
    fetched = FETCHED / "usr" / "bin" / name
    return str(fetched) if fetched.exists() else shutil.which(name)


@dataclass
class Prometheus:
    """A Prometheus at `address` that scrapes once a second."""

    address: str

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 (what it answers is JSON)
        """Return the data of an answer of the HTTP API."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://{self.address}/api/v1/{path}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Return once something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, what
            time.sleep(0.2)


@contextmanager
def prometheus(
    folder: Path, jobs: Mapping[str, Sequence[str]], rules: Path
) -> Iterator[Prometheus]:
    """Run Prometheus on the metrics addresses of `jobs` for the block."""
    executable = program("prometheus")
    assert executable is not None
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": list(targets)}]}
            for name, targets in jobs.items()
        ],
        "rule_files": [str(rules)],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    address, log = free_address(), folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                executable,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        running = Prometheus(address)
        running.wait(lambda: _is_ready(address), "ready")
        yield running
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
