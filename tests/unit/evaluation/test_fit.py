import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.profile import Context, default_profile, document, profile_of

from evaluation import experiment as experiments
from evaluation import fit as fits
from evaluation import methods, query_experiment
from evaluation.dataset import DatasetError
from evaluation.fit import Fit, fit_profile
from evaluation.fitting import learned, reach
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_data import OPTIONS, dataset, stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write the usual data; no encoder is needed for it, and little time for its dials."""
    made = invented_data.vectors(dataset())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "item_vectors", lambda *_: made)
        patch.setattr(methods, "DIAL_REQUESTS", 8)
        patch.setattr(fits, "QUERIES", 8)
        yield invented_data.write(dataset(), tmp_path_factory.mktemp("fit") / "shelf")


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Fit:
    return fit_profile(folder, OPTIONS, stage)


def test_a_profile_that_is_read_back_is_equal(fitted: Fit) -> None:
    profile = fitted.profile
    again = profile_of(json.loads(json.dumps(document(profile))))
    assert document(again) == document(profile)
    assert again.version == profile.version
    for context in Context:
        np.testing.assert_array_equal(
            again.models[context].weights, profile.models[context].weights
        )
        assert again.dials[context] == profile.dials[context]


def test_it_is_fitted_on_the_latest_period_and_says_so(fitted: Fit, folder: Path) -> None:
    profile = fitted.profile
    period, sources, _ = experiments.latest_period(folder, OPTIONS, stage)
    latest = period.requests
    assert profile.sources == sources
    expected = learned(latest, default_profile().models[Context.HISTORY]).model
    # It is written with six digits.
    np.testing.assert_allclose(
        profile.models[Context.HISTORY].weights, expected.weights, rtol=1e-5, atol=1e-9
    )
    assert profile.reach == pytest.approx(reach(latest), rel=1e-5)
    facts = {name: profile.fit[name] for name in ("name", "people", "candidates", "relevant")}
    assert facts == {
        "name": "shelf",
        "people": len(latest.users),
        "candidates": latest.items.size,
        "relevant": int(latest.relevant.sum()),
    }
    assert profile.version.startswith("shelf@")
    assert sum(row["count"] for row in profile.fit["reliability"]) == latest.items.size


def test_what_the_data_do_not_tell_stays_the_defaults(fitted: Fit) -> None:
    profile, default = fitted.profile, default_profile()
    for context in (Context.QUERY, Context.NOTHING):
        np.testing.assert_array_equal(
            profile.models[context].weights, default.models[context].weights
        )
    assert profile.dials[Context.NOTHING] == default.dials[Context.NOTHING]
    assert profile.dials[Context.HISTORY] != default.dials[Context.HISTORY]
    # Of whom nothing is known there is no taste to pay for.
    assert all(point.prices.taste == 0 for point in profile.dials[Context.QUERY].points)


def test_exposure_is_told_of_every_item(fitted: Fit) -> None:
    exposure = fitted.exposure
    assert list(exposure) == dataset().item_ids
    assert np.mean(list(exposure.values())) == pytest.approx(1)


def test_too_few_people_fit_nothing(folder: Path) -> None:
    few = replace(OPTIONS, people=fits.FEWEST_PEOPLE - 1)
    with pytest.raises(DatasetError, match=r"19 people .* 20 are needed"):
        fit_profile(folder, few, stage)
    enough = replace(OPTIONS, people=fits.FEWEST_PEOPLE)
    assert fit_profile(folder, enough, stage).profile.fit["people"] == fits.FEWEST_PEOPLE


@pytest.fixture
def asked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write queries beside the usual data: each topic's words ask for its items."""
    data = dataset()
    made = invented_data.vectors(data)
    topics = [attributes["topic"] for attributes in data.attributes]
    monkeypatch.setattr(query_experiment, "item_vectors", lambda *_: made)
    # A query's vector is that of the item whose text it is.
    monkeypatch.setattr(
        query_experiment, "query_vectors", lambda texts, *_: made[[int(t[5:8]) for t in texts]]
    )
    source = tmp_path / "asked"
    shutil.copytree(folder, source)
    queries = [f"item {at:03} {data.texts[at]}" for at in range(40)]
    lines = [f"q{at},{text}" for at, text in enumerate(queries)]
    (source / "queries.csv").write_text("\n".join(["query_id,query", *lines]) + "\n")
    relevant = [
        f"q{at},{item_id}"
        for at in range(40)
        for number, item_id in enumerate(data.item_ids)
        if topics[number] == topics[at] and number % 3 == at % 3
    ]
    (source / "relevance.csv").write_text("\n".join(["query_id,item_id", *relevant]) + "\n")
    return source


def test_queries_teach_the_weights_of_a_query(asked: Path, fitted: Fit) -> None:
    found = fit_profile(asked, OPTIONS, stage)
    profile, without = found.profile, fitted.profile
    assert profile.fit["asked"]["queries"] == 40
    assert profile.fit["people"] == without.fit["people"]
    query, other = (each.models[Context.QUERY].weights for each in (profile, without))
    assert not np.array_equal(query, other)
    np.testing.assert_array_equal(
        profile.models[Context.HISTORY].weights, without.models[Context.HISTORY].weights
    )
    assert profile.dials[Context.QUERY] != without.dials[Context.QUERY]


def test_without_people_queries_alone_are_fitted(asked: Path) -> None:
    (asked / "interactions.csv").unlink()
    profile = fit_profile(asked, OPTIONS, stage).profile
    default = default_profile()
    # Popularity is what is relevant to the other half.
    assert profile.fit["asked"]["queries"] == 20
    assert "people" not in profile.fit
    history, usual = (each.models[Context.HISTORY].weights for each in (profile, default))
    np.testing.assert_array_equal(history, usual)
    assert profile.sources == default.sources
