"""The dozen films behind a recommender, with vectors by theme in place of an encoder's."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import ItemExample, Policy, Request
from longtail.server.recommend.scoring import Candidates
from longtail.server.rpc.recommendations import NOBODY
from longtail.server.store.clock import now
from longtail.server.store.records import (
    Impression,
    Interaction,
    ItemContent,
    NewItem,
    State,
    Vector,
)
from longtail.server.upkeep.profile_watch import ProfileWatch

from tests.films import FILMS
from tests.unit.server.catalogues import (
    DIMENSION,
    Written,
    behaviour_of,
    opened,
    unit,
    view_of,
)

THEMES = ("space", "paris", "crime", "family", "sea")
FILMS_BY_THEME = {
    "space": ("alien", "wall-e", "moon", "solaris", "robots"),
    "paris": ("amelie", "ratatouille"),
    "crime": ("heat", "ronin"),
    "family": ("up", "big"),
    "sea": ("jaws",),
}
THEME_OF = {film: theme for theme, films in FILMS_BY_THEME.items() for film in films}
# How much the films of a theme differ.
OWN = 0.3


def direction(theme: str) -> Vector:
    vector = np.zeros(DIMENSION, np.float32)
    vector[THEMES.index(theme)] = 1.0
    return vector


def film_vector(film: str) -> Vector:
    vector: Vector = direction(THEME_OF[film]) + np.float32(OWN) * unit(sorted(FILMS).index(film))
    return (vector / np.float32(np.linalg.norm(vector))).astype(np.float32)


def film(
    film_id: str,
    *,
    prior: float = 0.0,
    state: State = State.ACTIVE,
    penalty: float = 0.0,
    **attributes: object,
) -> NewItem:
    attributes = {"theme": THEME_OF[film_id], **attributes}
    content = ItemContent(film_id, *FILMS[film_id], attributes, prior, state, penalty=penalty)
    return NewItem(content, film_vector(film_id), vector_given=False)


def request(policy: Policy | None = None, **given: object) -> Request:
    """Return a request for pure relevance that asks for nothing but what is given."""
    asked = Request(policy or Policy(strength=0.0), page_size=5)
    return replace(asked, **given)  # type: ignore[arg-type]


def like_it(*films: str, weight: float = 1.0) -> tuple[ItemExample, ...]:
    return tuple(ItemExample(each, weight, at) for at, each in enumerate(films))


class Cinema:
    """A store, its views and their recommender."""

    def __init__(
        self, written: Written, view: CatalogueReplica, behaviour: BehaviourView, size: int
    ) -> None:
        self.written, self.view, self.behaviour = written, view, behaviour
        self.profiles = ProfileWatch(written.store.path.with_name("ranking-profile.json"))
        self.recommender = Recommender(
            lambda: behaviour.behaviour, self.profiles, written.store.impressions.recent, size
        )
        self._events = 0

    def does(self, person: str, *films: str, value: float = 1.0) -> None:
        """Record that a person met with films, one after the other."""
        events = []
        for each in films:
            self._events += 1
            time = now() - 10**9 + self._events
            event_id = f"event {self._events}"
            events.append(Interaction(event_id, person, each, "rating", value, time, ""))
        self.written.interact(*events)

    def crowd(self, count: int, *films: str) -> None:
        """Record that so many people like all of `films`."""
        self._events += 1
        for number in range(count):
            self.does(f"crowd {self._events} {number}", *films)

    def is_shown(self, person: str, *films: str, ago: int = 0, times: int = 1) -> None:
        """Record impressions from `ago` microseconds ago."""
        for number in range(times):
            self._events += 1
            shown = [
                Impression(
                    self._events.to_bytes(12, "big"), each, at, person, now() - ago, 0.0, 1.0
                )
                for at, each in enumerate(films, number + 1)
            ]
            write = partial(self.written.store.impressions.write, shown=shown, made=2**63)
            self.written.write(write)

    def answer(self, policy: Policy | None = None, **given: object) -> Answer:
        asked = request(policy, **given)
        return self.recommender.recommend(self.view.state, asked, self.person(asked.user_id))

    def candidates(self, **given: object) -> Candidates:
        return self.answer(**given).candidates  # type: ignore[arg-type]

    def person(self, user_id: str) -> Person:
        return self.behaviour.people.load(user_id) if user_id else NOBODY


@contextmanager
def cinema(folder: Path, *films: NewItem, size: int = 100) -> Iterator[Cinema]:
    """Open a cinema with the dozen films, of which `films` are as they are given."""
    with ExitStack() as stack:
        views: list[CatalogueReplica | BehaviourView] = []

        def follow() -> None:
            for view in views:
                view.follow()

        written = stack.enter_context(opened(folder, follow))
        found = view_of(written, folder)
        behaviour = stack.enter_context(behaviour_of(written.store))
        views += [behaviour, found]
        own = {each.content.id: each for each in films}
        written.upsert(*(own.get(each) or film(each) for each in FILMS))
        yield Cinema(written, found, behaviour, size)


def by_relevance(candidates: Candidates) -> list[str]:
    order = np.argsort(-candidates.relevance, kind="stable")
    return [candidates.ids[at] for at in order]


def listed(answer: Answer) -> list[str]:
    return [answer.candidates.ids[at] for at in answer.chosen]
