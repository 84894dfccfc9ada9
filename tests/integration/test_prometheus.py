"""Metrics, alerts and dashboard against the real Prometheus (`make test-observability`)."""

import itertools
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from longtail.client import LongtailClient, LongtailError
from longtail.v1.item_pb2 import Item

from tests import processes
from tests.alert_cases import CASES
from tests.otlp_receiver import otlp_receiver
from tests.processes import ROOT, free_address
from tests.prometheus import Prometheus, program, prometheus
from tests.served_films import catalogue

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        program("prometheus") is None or program("promtool") is None,
        reason="no Prometheus: run make test-observability",
    ),
]

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "longtail.json"
# Which are NaN: a dozen films are in no graph, and in no engine.
UNMEASURED = {
    "min by (instance) (longtail_index_recall)",
    "min by (instance) (longtail_index_engine_up)",
}


class Watched(NamedTuple):
    """A Prometheus that scrapes a server and a worker in use, and the receiver of their traces."""

    prometheus: Prometheus
    trace_ids: set[str]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for panel in panels() for target in panel.get("targets", [])]


def promtool(*arguments: str) -> str:
    executable = program("promtool")
    assert executable is not None
    done = subprocess.run([executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def watched(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("watched")
    metrics = {"longtail-server": free_address(), "longtail-worker": free_address()}
    with otlp_receiver() as receiver:
        traces = {"LONGTAIL_TRACES_ENDPOINT": f"http://{receiver.address}"}
        with (
            processes.worker(
                home, artefact, LONGTAIL_WORKER_METRICS_ADDRESS=metrics["longtail-worker"], **traces
            ) as worker,
            processes.server(
                home,
                worker.address,
                LONGTAIL_SERVER_METRICS_ADDRESS=metrics["longtail-server"],
                **traces,
            ) as server,
            prometheus(home, {job: [at] for job, at in metrics.items()}, ALERTS) as running,
            LongtailClient(server.address) as client,
        ):
            client.upsert_items(catalogue())
            with _used(client):
                running.wait(
                    lambda: bool(running.query("rate(longtail_worker_tokens_total[5s]) > 0")),
                    "texts are embedded",
                )
                spans = receiver.wait(lambda all_: len(all_) > 20)
                yield Watched(running, {span.trace_id.hex() for span in spans})


@contextmanager
def _used(client: LongtailClient) -> Iterator[None]:
    """Ask and write until the block ends."""
    ended = threading.Event()

    def use() -> None:
        for number in itertools.count():
            if ended.wait(0.1):
                return
            for _ in range(2):
                client.recommend(f"a whale that hunts {number} times")
            client.upsert_items([Item(id="again", title=f"Again {number}")])
            with suppress(LongtailError):
                client.get_item("nothing")

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_both_processes_are_scraped(watched: Watched) -> None:
    def up() -> dict[str, str]:
        return {each["metric"]["job"]: each["value"][1] for each in watched.prometheus.query("up")}

    watched.prometheus.wait(lambda: up() == {"longtail-server": "1", "longtail-worker": "1"}, "up")
    targets = watched.prometheus.get("targets")["activeTargets"]
    assert [target["lastError"] for target in targets] == ["", ""]


@pytest.mark.parametrize(("title", "target"), queries())
def test_a_query_of_the_dashboard_has_an_answer(
    title: str, target: dict[str, Any], watched: Watched
) -> None:
    expression = target["expr"].replace("$__rate_interval", "10s")

    def answered() -> bool:
        found = watched.prometheus.query(expression)
        values = [each["value"][1] for each in found]
        # A method that nobody calls has no quantile.
        measured = any(value != "NaN" for value in values)
        return bool(values) and (measured or expression in UNMEASURED)

    watched.prometheus.wait(answered, f"{title}: {expression}")


def test_a_time_leads_to_a_trace(watched: Watched) -> None:
    def found(name: str) -> set[str]:
        series = watched.prometheus.get(
            "query_exemplars", query=f"{name}_bucket", start="0", end="4102444800"
        )
        return {each["labels"]["trace_id"] for one in series for each in one["exemplars"]}

    for name in (
        "longtail_rpc_seconds",
        "longtail_store_commit_seconds",
        "longtail_worker_queue_seconds",
        "longtail_worker_tokenize_seconds",
        "longtail_worker_inference_seconds",
    ):
        watched.prometheus.wait(partial(found, name), name)
    assert found("longtail_rpc_seconds") & watched.trace_ids


def test_rules_are_loaded_and_none_fires_of_itself(watched: Watched) -> None:
    [group] = watched.prometheus.get("rules")["groups"]
    assert {rule["name"] for rule in group["rules"]} == CASES.keys()
    watched.prometheus.wait(
        lambda: all(
            rule["health"] == "ok" for rule in watched.prometheus.get("rules")["groups"][0]["rules"]
        ),
        "rules are evaluated",
    )
    assert watched.prometheus.get("alerts")["alerts"] == []


def test_the_rules_are_valid() -> None:
    assert f"{len(CASES)} rules found" in promtool("check", "rules", str(ALERTS))


def test_the_example_configuration_is_valid() -> None:
    promtool("check", "config", str(ALERTS.with_name("prometheus.yaml")))


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    tests: dict[str, list[dict[str, Any]]] = {}
    for rule in group["rules"]:
        case, name = CASES[rule["alert"]], rule["alert"]
        eval_time = f"{case.steps}{case.step.lstrip('1')}"
        told = {
            "exp_labels": {**case.labels, **rule["labels"]},
            "exp_annotations": rule["annotations"],
        }
        for series, expected in ((case.fires, [told]), (case.quiet, [])):
            tests.setdefault(case.step, []).append(
                {
                    "interval": case.step,
                    "input_series": [{"series": s, "values": v} for s, v in series.items()],
                    "alert_rule_test": [
                        {"eval_time": eval_time, "alertname": name, "exp_alerts": expected}
                    ],
                }
            )
    for step, each in tests.items():
        file = tmp_path / f"alerts_{step}.yaml"
        how = {"rule_files": [str(ALERTS)], "evaluation_interval": step, "tests": each}
        file.write_text(yaml.safe_dump(how))
        assert "SUCCESS" in promtool("test", "rules", str(file))
