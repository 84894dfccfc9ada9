"""What is said of metrics is so: each is documented, and alerts and dashboard name none else."""

import importlib
import json
import pkgutil
import re
from typing import Any

import longtail.runtime
import longtail.server
import longtail.worker
import prometheus_client
import pytest
import yaml

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "observability.md").read_text()
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "longtail.json"
# Of Prometheus itself, and of its library.
FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
SUFFIXES = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_sum", "_count"]}
# A name, without what stands in quotes.
NAME = re.compile(r"\b(?:longtail|process)_\w+|\bup\b")


def _collectors() -> list[Any]:
    for part in (longtail.runtime, longtail.server, longtail.worker):
        for module in pkgutil.walk_packages(part.__path__, f"{part.__name__}."):
            if not module.name.endswith("__main__") and "migrations" not in module.name:
                importlib.import_module(module.name)
    known = list(prometheus_client.REGISTRY._collector_to_names)
    return [each for each in known if getattr(each, "_name", "").startswith("longtail_")]


COLLECTORS = _collectors()
FAMILIES = {family.name: (family, each) for each in COLLECTORS for family in each.describe()}


def exposed() -> set[str]:
    return {
        name + suffix
        for name, (family, _) in FAMILIES.items()
        for suffix in SUFFIXES.get(family.type, [""])
    }


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def names(expression: str) -> set[str]:
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def test_metrics_are_found() -> None:
    assert len(FAMILIES) > 40


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_metric_is_documented_as_it_is(name: str) -> None:
    family, collector = FAMILIES[name]
    shown = name + {"counter": "_total", "info": "_info"}.get(family.type, "")
    labels = ", ".join(f"`{label}`" for label in collector._labelnames)
    row = f"| `{shown}` | {family.type} | {labels} | "
    [line] = [line for line in PAGE.splitlines() if line.startswith(row)]
    assert f" | {family.documentation} | " in line


def test_no_metric_is_documented_that_is_none() -> None:
    shown = re.findall(r"^\| `(longtail_\w+)` \|", PAGE, re.MULTILINE)
    assert len(shown) == len(FAMILIES)


def test_alerts_and_dashboard_name_only_metrics_that_are() -> None:
    known = exposed() | FOREIGN
    for expression in (*queries(), *(rule["expr"] for rule in rules())):
        found = names(expression)
        assert found, expression
        assert found <= known, expression


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*(names(expression) for expression in queries()))
    bases = {re.sub("_(total|info|bucket|sum|count)$", "", name) for name in shown}
    assert bases >= FAMILIES.keys()


def test_an_alert_is_documented_with_what_to_do() -> None:
    shown = set(re.findall(r"^\| `(Longtail\w+)` \|", PAGE, re.MULTILINE))
    assert shown == {rule["alert"] for rule in rules()}
    for rule in rules():
        told = rule["annotations"]
        row = f"| `{rule['alert']}` | {told['summary']} | {told['action']} |"
        assert row in PAGE.splitlines()
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_an_alert_that_is_named_is_one() -> None:
    assert set(re.findall(r"\bLongtail[A-Z]\w+", PAGE)) - {"LongtailClient"} == {
        rule["alert"] for rule in rules()
    }
