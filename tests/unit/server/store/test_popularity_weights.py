import math

import pytest
from longtail.runtime.settings import SettingsError, load
from longtail.server.settings import Settings
from longtail.server.store.decay import DecayedSum
from longtail.server.store.popularity_weights import PopularityWeights


def test_each_type_has_its_weight_and_the_others_theirs() -> None:
    weights = PopularityWeights.parse("view=0.1, purchase = 5,a=b=2,*=0")
    found = [weights.of(kind) for kind in ("view", "purchase", "a=b", "rating")]
    assert found == [0.1, 5, 2, 0]
    assert PopularityWeights.parse("view=0.5").of("rating") == 1
    assert PopularityWeights().of("view") == PopularityWeights.parse("*=1").of("view") == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("view", "'view', which is not type=weight"),
        ("view=1,", "'', which is not type=weight"),
        ("=1", "'=1', which is not type=weight"),
        ("view=", "'' as the weight of 'view'"),
        ("view=much", "'much' as the weight of 'view'"),
        ("view=-1", ".* not 0 to 1e\\+06"),
        ("view=nan", ".* not 0 to"),
        ("view=inf", ".* not 0 to"),
        ("view=1,view=2", "'view' twice"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=f"^LONGTAIL_POPULARITY_WEIGHTS='{text}' has {problem}"):
        load(Settings, {"LONGTAIL_POPULARITY_WEIGHTS": text})


def test_the_settings_are_what_popularity_goes_by() -> None:
    assert load(Settings, {}).popularity_half_life == math.inf
    assert load(Settings, {}).type_weights.of("view") == 1
    environment = {
        "LONGTAIL_POPULARITY_HALF_LIFE_DAYS": "0.5",
        "LONGTAIL_POPULARITY_WEIGHTS": "view=3",
    }
    settings = load(Settings, environment)
    assert settings.popularity_half_life == 12 * 3600 * 10**6
    assert settings.type_weights.of("view") == 3
    with pytest.raises(SettingsError, match="LONGTAIL_POPULARITY_HALF_LIFE_DAYS"):
        load(Settings, {"LONGTAIL_POPULARITY_HALF_LIFE_DAYS": "-1"})


def test_sums_of_types_add_up_as_of_the_newest_that_counts() -> None:
    weights = PopularityWeights.parse("view=0.5,hidden=0")
    sums = {"view": DecayedSum(4.0, 100), "buy": DecayedSum(1.0, 200)}
    assert weights.total(sums.items(), 100.0) == DecayedSum(2.0, 200)
    assert weights.total(sums.items(), math.inf) == DecayedSum(3.0, 200)
    unseen = {"hidden": DecayedSum(9.0, 900), "view": DecayedSum(1.0, -5)}
    assert weights.total(unseen.items(), 100.0) == DecayedSum(0.5, -5)
    assert weights.total([("hidden", DecayedSum(9.0, 900))], 100.0).mass == 0
    assert weights.total([], 100.0).mass == 0
