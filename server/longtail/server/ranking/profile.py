"""The ranking profile: everything that is fitted, in one small file that people can read."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from longtail.runtime.errors import cut
from longtail.server.ranking.dial import Dial, dial_of, dial_rows
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.relevance import OF_SPACE, RelevanceModel
from longtail.server.ranking.retrieval import ADAPTED_SHARE, LEAST_TEXT, Sources

FORMAT = 3
LEAST_REACH = 0.01
ROUNDING = 1e-9
# Of a value that is none, in a message.
SHOWN_BYTES = 60


class Context(StrEnum):
    """What a request gives to go by; each has weights of its own."""

    HISTORY = "history"
    QUERY = "query"
    NOTHING = "nothing"


class ProfileError(ValueError):
    """A profile cannot be used; the message says why."""


@dataclass(frozen=True)
class RankingProfile:
    """The weights of relevance and the dial, each by context.

    `reach`: the share of what is relevant to a request that its candidates hold, above 0.
    `sources`: what proposes the candidates. `fit`: what it was fitted on, for people.
    """

    models: Mapping[Context, RelevanceModel]
    reach: float
    dials: Mapping[Context, Dial]
    sources: Sources
    fit: Mapping[str, Any] = field(default_factory=dict)

    # Every answer tells it, and it takes long to make.
    @cached_property
    def version(self) -> str:
        """The profile's name and what tells it from any other."""
        content = json.dumps(document(self), sort_keys=True).encode()
        return f"{self.fit.get('name', 'default')}@{hashlib.sha256(content).hexdigest()[:12]}"


def document(profile: RankingProfile) -> dict[str, Any]:
    """Return a profile as JSON has it."""
    return {
        "format": FORMAT,
        "fit": dict(profile.fit),
        "relevance": {
            context.value: {"intercept": model.intercept}
            | {
                name: float(weight)
                for name, weight in zip(FEATURES, model.weights, strict=True)
                if weight
            }
            | {f"{OF_SPACE}{name}": weight for name, weight in model.spaces.items()}
            for context, model in profile.models.items()
        },
        "reach": profile.reach,
        "candidates": _shares(profile.sources),
        "dial": {context.value: dial_rows(dial) for context, dial in profile.dials.items()},
        "overrun": {context.value: dial.overrun for context, dial in profile.dials.items()},
    }


def profile_of(content: Any) -> RankingProfile:  # noqa: ANN401 (JSON)
    """Return the profile in a JSON document.

    Raises ProfileError that names what is wrong.
    """
    try:
        if content["format"] != FORMAT:
            found = cut(repr(content["format"]), SHOWN_BYTES)
            raise ProfileError(f"format is {found}, not {FORMAT}")
        models = {context: _model(content["relevance"][context.value]) for context in Context}
        reach = _number("reach", content["reach"], least=LEAST_REACH)
        sources = _sources(content["candidates"])
        dials = {context: _dial(content, context) for context in Context}
        fit = dict(content["fit"])
    except KeyError as error:
        raise ProfileError(f"{error.args[0]!r} is missing or unknown") from None
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, ProfileError) else ProfileError(str(error)) from None
    return RankingProfile(models, reach, dials, sources, fit)


def read_profile(path: Path) -> RankingProfile:
    """Return the profile in a file. Raises ProfileError, also when it cannot be read."""
    try:
        return profile_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: {error}") from None


def write_profile(profile: RankingProfile, path: Path) -> None:
    """Write a profile to a file; whoever reads it meanwhile gets the old one or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(document(profile), indent=2) + "\n", encoding="utf-8")
    new.replace(path)


def default_profile() -> RankingProfile:
    """Return the profile that stands until one is fitted.

    The weights say what is known of recommending in general: text and behaviour count alike, the
    popular a little more, and nothing is as sure as it looks.
    """
    return read_profile(Path(__file__).with_name("default_profile.json"))


def _model(weights: Mapping[str, Any]) -> RelevanceModel:
    numbers = {name: _number(name, value) for name, value in _entries(weights)}
    return RelevanceModel.of(numbers.pop("intercept"), numbers)


def _dial(content: Mapping[str, Any], context: Context) -> Dial:
    overrun = _number("overrun", content["overrun"][context.value], least=0.0)
    try:
        return dial_of(_rows(content["dial"][context.value]), overrun)
    except ValueError as error:
        raise ProfileError(f"dial of {context}: {error}") from None


def _shares(sources: Sources) -> dict[str, float]:
    """Return what proposes candidates as JSON has it; what goes without saying is not said."""
    names = ("behaviour", "popularity", "words")
    shares: dict[str, float] = {name: getattr(sources, name) for name in names}
    if sources.adapted != ADAPTED_SHARE:
        shares["adapted"] = sources.adapted
    return shares


def _sources(shares: Mapping[str, Any]) -> Sources:
    names = ("behaviour", "popularity", "words")
    behaviour, popularity, words = (_number(name, shares[name], least=0.0) for name in names)
    if behaviour + popularity > 1 - LEAST_TEXT + ROUNDING:
        raise ProfileError(f"candidates leave less than {LEAST_TEXT:g} of them for the text")
    adapted = _number("adapted", shares.get("adapted", ADAPTED_SHARE), least=0.0)
    for name, value in (("words", words), ("adapted", adapted)):
        if value > 1:
            raise ProfileError(f"{name} is {value:g}, above 1")
    return Sources(behaviour, popularity, words, adapted)


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    return [
        {name: _number(name, value, least=0.0) for name, value in _entries(row)} for row in rows
    ]


def _entries(value: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 (JSON)
    if not isinstance(value, dict):
        raise ProfileError(f"{cut(repr(value), SHOWN_BYTES)} is no object")
    return value.items()


def _number(name: str, value: Any, least: float = -np.inf) -> float:  # noqa: ANN401 (JSON)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ProfileError(f"{name} is {cut(repr(value), SHOWN_BYTES)}, no number")
    if value < least:
        raise ProfileError(f"{name} is {value}, below {least:g}")
    return float(value)
