"""How rare candidates are, from what is expected of them and what was counted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.expected_exposure import write_exposure
from longtail.server.ranking.exposure import EXPECTED_WEIGHT, blended
from longtail.server.ranking.exposure import rarity as rarity_of
from longtail.server.ranking.profile import default_profile, write_profile

from tests.films import FILMS
from tests.unit.server.catalogues import indexer_of
from tests.unit.server.cinema import Cinema, cinema, direction, film

# What a fit says of the catalogue as it was then, when there were no robots.
EXPECTED = {each: 0.5 for each in FILMS if each != "robots"} | {"jaws": 6.0, "big": 0.0}


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path) as opened:
        yield opened


def fit(films: Cinema) -> None:
    path = films.written.store.path.with_name("ranking-profile.json")
    write_exposure(EXPECTED, path)
    write_profile(default_profile(), path)
    films.profiles.refresh()


def rarity(films: Cinema) -> dict[str, float]:
    found = films.candidates(query=direction("sea"))
    assert len(found.ids) == len(FILMS)
    return dict(zip(found.ids, found.rarity.tolist(), strict=True))


def rarity_at(**exposure: float) -> dict[str, float]:
    values = rarity_of(np.array(list(exposure.values())))
    return dict(zip(exposure, values.tolist(), strict=True))


def test_without_impressions_all_are_as_rare_whatever_is_expected(films: Cinema) -> None:
    assert rarity(films) == dict.fromkeys(FILMS, 1.0)
    fit(films)
    assert rarity(films) == dict.fromkeys(FILMS, 1.0)


def test_from_the_first_impression_on_what_is_expected_counts(films: Cinema) -> None:
    fit(films)
    films.is_shown("ann", "moon")
    found = rarity(films)
    assert found["big"] == found["robots"] == 1
    assert found["moon"] < found["jaws"] < found["up"] < 1


def test_without_a_fit_what_was_shown_decides(films: Cinema) -> None:
    films.is_shown("ann", "jaws", times=3)
    films.is_shown("ann", "big")
    mean = (3 + 1) / len(FILMS)
    counts = dict.fromkeys(FILMS, 0.0) | {"jaws": 3.0, "big": 1.0}
    exposure = {film: count / (EXPECTED_WEIGHT + mean) for film, count in counts.items()}
    found = rarity(films)
    assert found == pytest.approx(rarity_at(**exposure), rel=1e-4)
    assert found["jaws"] < found["big"] < found["moon"] == 1


def test_both_are_blended(films: Cinema) -> None:
    fit(films)
    films.is_shown("ann", "big", times=2)
    counts = np.array([2.0 * (each == "big") for each in FILMS])
    expected = np.array([EXPECTED.get(each, 0.0) for each in FILMS])
    exposure = blended(expected, counts, 2 / len(FILMS))
    found = rarity(films)
    assert found == pytest.approx(
        rarity_at(**dict(zip(FILMS, exposure.tolist(), strict=True))), rel=1e-4
    )
    # Two impressions outweigh that none was expected.
    assert found["big"] < found["jaws"]


def test_what_is_shown_more_and_more_outweighs_the_fit(films: Cinema) -> None:
    films.is_shown("ann", "big", times=200)
    before = rarity(films)
    fit(films)
    after = rarity(films)
    assert after["big"] == pytest.approx(before["big"], rel=0.01)


def test_rarity_stays_when_the_index_is_merged(films: Cinema, tmp_path: Path) -> None:
    fit(films)
    films.is_shown("ann", "jaws", "big")
    films.written.upsert(film("moon", prior=1.0), film("up", prior=2.0))
    before, state = rarity(films), films.view.state
    indexer_of(films.written, films.view, tmp_path).rebuild(state.encoder, lambda _done, _all: None)
    assert films.view.state is not state
    assert rarity(films) == pytest.approx(before, rel=1e-6)


def test_a_fit_that_is_gone_no_longer_counts(films: Cinema) -> None:
    films.is_shown("ann", "moon")
    without = rarity(films)
    fit(films)
    assert rarity(films) != without
    films.written.store.path.with_name("ranking-profile.json").unlink()
    films.profiles.refresh()
    assert rarity(films) == without
