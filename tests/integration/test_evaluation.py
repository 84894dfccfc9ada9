"""The evaluation as its users run it: the command, its exit code, and what it leaves."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from longtail.server.ranking.expected_exposure import read_exposure
from longtail.server.ranking.profile import Context, read_profile
from PIL import Image

from evaluation.baselines.registry import BASELINES
from evaluation.report.document import SCHEMA
from evaluation.report.figures import LOSS_METRICS, PAIRS
from evaluation.run import SLOW
from tests import processes
from tests.unit.evaluation import invented_data

pytestmark = pytest.mark.model

SMALL = ("--min-rating", "4", "--people", "60", "--pool", "60")
METRICS = {"ndcg", "recall", "mrr", "tail_recall", "snips", "aplt", "coverage", "gini", "arp"}
METRICS |= {"upd", "popreo", "ild"}


def evaluation(
    home: Path, artefact: Path, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evaluation", *map(str, arguments)],
        cwd=processes.ROOT,
        env=processes.environment(home, LONGTAIL_MODEL=str(artefact)),
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented_data.write(invented_data.dataset(), tmp_path_factory.mktemp("data") / "shelf")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.slow
def test_a_folder_is_evaluated_whole(
    home: Path, folder: Path, artefact: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = evaluation(home, artefact, folder, "--out", out, "--k", "5", "--fast", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert str(out / "index.html") in done.stdout

    report = json.loads((out / "report.json").read_text())
    assert report["schema"] == SCHEMA
    assert report["data"]["name"] == "shelf"
    assert (report["data"]["requests"], report["data"]["pool"]) == (60, 60)
    assert [each["regime"] for each in report["comparisons"]] == ["calibrated", "raw"]
    for comparison in report["comparisons"]:
        assert_whole(comparison)
        # Theirs are the slow ones; their tests are those of the adapters.
        assert not SLOW & set(comparison["methods"])
    assert "EASE" in report["base"]["recommenders"]
    assert [dial["rows"][0]["lost"]["value"] for dial in report["dials"]] == [0, 0]
    assert report["queries"] is None
    assert sum(row["count"] for row in report["reliability"]) == 60 * 60
    assert max(report["cross_check"]["largest_differences"].values()) < 1e-9

    pictures = sorted(out.glob("*.png"))
    assert pictures
    for picture in pictures:
        with Image.open(picture) as opened:
            opened.verify()
    page = (out / "index.html").read_text()
    assert "<table" in page
    for name in ("Longtail", "FairCo", "Steck"):
        assert name in page


def assert_whole(comparison: dict[str, Any]) -> None:
    methods = comparison["methods"]
    assert comparison["k"] == 5
    assert {"Longtail", *(method.name for method in BASELINES)} <= set(methods)
    dense = {"Longtail", *(method.name for method in BASELINES if len(method.dials) > 1)}
    families = {method["family"] for method in methods.values()}
    assert families == {"longtail", "ablation", "baseline", "outside"}
    ablated = {name for name, method in methods.items() if method["family"] == "ablation"}
    knobs = {"tail alone", "coverage alone", "taste alone"}
    assert ablated > knobs if comparison["regime"] == "calibrated" else ablated == knobs
    for name, method in methods.items():
        dials = [point["dial"] for point in method["curve"]]
        assert dials == sorted(dials), name
        assert len(dials) >= (20 if name in dense else 1), name
        assert all(set(point) >= METRICS for point in method["curve"]), name
        assert all(0 <= point["ndcg"] <= 1 for point in method["curve"]), name
        assert set(method["best_within_loss"]) == {metric.name for metric in LOSS_METRICS}
        for pair in PAIRS:
            low, high = method["hypervolume"][pair.name]["interval"]
            assert low <= high, name
            assert math.isfinite(method["hypervolume"][pair.name]["value"]), name
    for pair in PAIRS:
        differences = comparison["differences"][pair.name]
        assert set(differences) == set(methods) - {"Longtail"}
        for difference in differences.values():
            assert 0 < difference["p_value"] <= difference["p_holm"] <= 1
    promised = [point["promised_loss"] for point in methods["Longtail"]["curve"]]
    assert promised[0] == 0
    assert None not in promised
    # Whoever does not re-rank is where everybody's losses are counted from.
    assert methods["none"]["curve"][0]["ndcg"] == comparison["base"]["ndcg"]
    assert methods["Longtail"]["curve"][0]["ndcg"] == pytest.approx(comparison["base"]["ndcg"])


def test_a_fit_is_a_profile_that_the_server_reads(
    home: Path, folder: Path, artefact: Path, tmp_path: Path
) -> None:
    out = tmp_path / "profile.json"
    done = evaluation(home, artefact, "fit", folder, "--out", out, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    profile = read_profile(out)
    assert profile.version in done.stdout
    assert profile.fit["people"] == 60
    assert profile.models[Context.HISTORY].weights.any()
    assert set(read_exposure(out)) == set(invented_data.dataset().item_ids)
