import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from longtail.server.ranking.profile import (
    Context,
    ProfileError,
    default_profile,
    document,
    profile_of,
    read_profile,
    write_profile,
)
from longtail.server.ranking.quota import Prices


def content() -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(document(default_profile())))
    return copied


def test_the_default_goes_from_pure_relevance_to_the_whole_tail() -> None:
    for dial in default_profile().dials.values():
        assert dial.prices(0) == Prices()
        # A relevant item at the first of 100 places gains less than this share of the price.
        assert dial.prices(1).tail / 100 > 1


def test_the_default_expects_a_stated_loss() -> None:
    # With nothing to go by there is one request only, and its lists lose in steps.
    for context in (Context.HISTORY, Context.QUERY):
        for strength in np.linspace(0, 0.3, 7):
            loss = default_profile().dials[context].loss(strength)
            assert loss == pytest.approx(strength**2, abs=0.005)


def test_a_written_profile_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    changed = content()
    changed["fit"] = {"name": "movies", "people": 600}
    changed["relevance"]["query"]["popularity"] = 0.25
    profile = profile_of(changed)
    write_profile(profile, path)
    found = read_profile(path)
    assert document(found) == document(profile)
    assert found.version == profile.version
    assert [file.name for file in tmp_path.iterdir()] == ["profile.json"]


def test_any_change_has_a_version_of_its_own() -> None:
    changed = content()
    changed["dial"]["query"][3]["tail_price"] += 1e-6
    assert profile_of(changed).version != default_profile().version
    assert profile_of(content()).version == default_profile().version


def without(key: str) -> dict[str, Any]:
    found = content()
    del found[key]
    return found


def changed(*path: str | int, value: object) -> dict[str, Any]:
    found: Any = content()
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return dict(found)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (without("format"), "'format' is missing"),
        (without("dial"), "'dial' is missing"),
        (changed("format", value=1), "format is 1, not 3"),
        (changed("relevance", "query", "charm", value=1.0), "'charm' is missing or unknown"),
        (changed("relevance", "query", "text", value="much"), "text is 'much', no number"),
        (changed("relevance", "query", "text", value=True), "text is True, no number"),
        (changed("relevance", "query", "text", value=float("nan")), "text is nan, no number"),
        (changed("relevance", value={}), "'history' is missing"),
        (changed("dial", "query", value=[]), "dial does not go from strength 0 to 1"),
        (
            changed("dial", "query", -1, "strength", value=0.95),
            "dial does not go from strength 0 to 1",
        ),
        (
            changed("dial", "query", 2, "strength", value=0.0),
            "dial is not in the order of strength",
        ),
        (changed("dial", "query", 0, "tail_price", value=0.1), "price at strength 0"),
        (changed("dial", "query", 2, "tail_price", value=-0.1), "tail_price is -0.1, below 0"),
        (changed("dial", "query", 0, "taste_alone", value=0.1), "price at strength 0"),
        (
            changed("dial", "history", 5, "taste_price", value=9.0),
            "dial of history: taste_price falls between strengths",
        ),
        (without("overrun"), "'overrun' is missing"),
        (without("candidates"), "'candidates' is missing"),
        (changed("candidates", "popularity", value=-0.1), "popularity is -0.1, below 0"),
        (
            changed("candidates", "behaviour", value=0.85),
            "leave less than 0.1 of them for the text",
        ),
        (changed("candidates", "words", value=1.5), "words is 1.5, above 1"),
        (changed("overrun", "query", value=0), "dial of query: overrun is 0"),
        ([], "list indices"),
        (None, "NoneType"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said(document: object, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        profile_of(document)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1]"])
def test_a_file_of_no_use_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(data)
    with pytest.raises(ProfileError, match=str(path)):
        read_profile(path)


def test_every_context_has_weights() -> None:
    assert set(default_profile().models) == set(Context)


def test_what_adapted_vectors_may_propose_is_said_where_it_is_not_the_usual() -> None:
    usual = default_profile()
    assert "adapted" not in document(usual)["candidates"]
    other = content()
    other["candidates"]["adapted"] = 0.3
    assert profile_of(other).sources.adapted == 0.3
    assert document(profile_of(other))["candidates"]["adapted"] == 0.3
    for wrong in (1.1, -0.1, "much"):
        other["candidates"]["adapted"] = wrong
        with pytest.raises(ProfileError, match="adapted is"):
            profile_of(other)
