"""A small invented world: a catalogue of a few topics, and people who like some of it over time."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from longtail.server.ranking.profile import default_profile

from evaluation.dataset import Dataset, Dropped, negatives, positives
from evaluation.experiment import Experiment, Options, Period, Progress
from evaluation.requests import requests
from evaluation.sources import fitted_sources
from evaluation.splits import Part, SplitMethod, split
from evaluation.task import Ints, Matrix
from evaluation.world import World

TOPICS = {
    "sea": "harbour tide sailor island storm lighthouse whale deck anchor",
    "space": "orbit planet engine comet station gravity probe signal crew",
    "kitchen": "bread oven recipe spice market baker soup harvest table",
    "music": "violin concert rhythm stage chorus record band melody drum",
    "crime": "detective witness letter alley verdict theft alibi judge clue",
}
ITEMS, PEOPLE, MET = 150, 80, 25
DIMENSION = 24
LIKED = 4.0
OPTIONS = Options(SplitMethod.USER_TIME, 0.2, 0.2, LIKED, pool=60, people=60, seed=3)


@lru_cache
def dataset(seed: int = 0) -> Dataset:
    """PEOPLE people met with MET items each; a quarter of them look for what few know."""
    random = np.random.default_rng(seed)
    topic = random.integers(len(TOPICS), size=ITEMS)
    fame = 1 / (1 + random.permutation(ITEMS)) ** 0.9
    favourite = random.integers(len(TOPICS), size=PEOPLE)
    users, items, ratings, times = list[int](), list[int](), list[int](), list[int]()
    for user in range(PEOPLE):
        drawn_to = fame ** (-0.3 if user % 4 == 0 else 1.0)
        drawn_to = drawn_to * np.where(topic == favourite[user], 8.0, 1.0)
        met = random.choice(ITEMS, MET, replace=False, p=drawn_to / drawn_to.sum())
        suits = topic[met] == favourite[user]
        users += [user] * MET
        items += met.tolist()
        ratings += np.where(suits, random.integers(4, 6, MET), random.integers(1, 6, MET)).tolist()
        times += np.sort(random.integers(1_000_000, 2_000_000, MET)).tolist()
    order = np.argsort(times, kind="stable")
    # People are numbered as they come, which is what a reader of the file does.
    came = list(dict.fromkeys(np.array(users)[order].tolist()))
    names = list(TOPICS)
    return Dataset(
        item_ids=[f"i{item}" for item in range(ITEMS)],
        titles=[f"The {names[topic[item]]} book {item}" for item in range(ITEMS)],
        texts=[_text(random, TOPICS[names[topic[item]]]) for item in range(ITEMS)],
        attributes=[{"topic": names[topic[item]]} for item in range(ITEMS)],
        user_ids=[f"u{user}" for user in came],
        users=np.argsort(came)[np.array(users)[order]],
        items=np.array(items, np.int64)[order],
        ratings=np.array(ratings, np.float64)[order],
        times=np.array(times, np.float64)[order],
        split=None,
        rated=True,
        dropped=Dropped({}, {}),
    )


def vectors(data: Dataset) -> Matrix:
    """What an encoder would make of the texts: a direction for each topic, and noise."""
    random = np.random.default_rng(7)
    directions = random.normal(size=(len(TOPICS), DIMENSION))
    names = list(TOPICS)
    topic = [names.index(attributes["topic"]) for attributes in data.attributes]
    made = directions[topic] + random.normal(scale=0.6, size=(len(topic), DIMENSION))
    unit: Matrix = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def untold(done: int, total: int) -> None:
    """Take progress, and tell nobody."""


@contextmanager
def stage(name: str) -> Iterator[Progress]:
    """Begin a stage that nobody watches."""
    yield untold


def experiment(data: Dataset, options: Options = OPTIONS) -> Experiment:
    """Prepare both periods as `evaluation.experiment` does, with the invented vectors."""
    likes = positives(data, options.min_rating)
    shares = {"valid": options.valid, "test": options.test}
    part = split(data, options.split, positives=likes, **shares)

    def known(wanted: Part) -> World:
        dislikes = negatives(data, options.min_rating)
        return World(data, likes, dislikes, part < wanted, vectors(data))

    usual, asked = default_profile().sources, (part == Part.VALID) & likes
    sources = fitted_sources(known(Part.VALID), data, asked, options.pool, options.seed, usual)

    def period(wanted: Part) -> Period:
        world, asked = known(wanted), (part == wanted) & likes
        found = requests(
            world, data, asked, options.pool, options.people, options.seed, sources, untold
        )
        return Period(world, found)

    return Experiment(data, options, "invented", sources, period(Part.VALID), period(Part.TEST))


@lru_cache
def usual_experiment() -> Experiment:
    """Return the experiment on the usual data; whoever takes it leaves it as it is."""
    return experiment(dataset())


def part_of_rows(data: Dataset, options: Options = OPTIONS) -> Ints:
    """Return the Part of each row."""
    likes = positives(data, options.min_rating)
    shares = {"valid": options.valid, "test": options.test}
    return split(data, options.split, positives=likes, **shares).astype(np.int64)


def with_other_rows(data: Dataset, changed: Ints, seed: int = 5) -> Dataset:
    """Return the data with other items and ratings in the rows `changed` (m,), at their times."""
    random = np.random.default_rng(seed)
    items, ratings = data.items.copy(), data.ratings.copy()
    for user in np.unique(data.users[changed]):
        mine = changed[data.users[changed] == user]
        kept = np.setdiff1d(np.flatnonzero(data.users == user), mine)
        free = np.setdiff1d(np.arange(len(data.item_ids)), data.items[kept])
        items[mine] = random.choice(free, len(mine), replace=False)
    ratings[changed] = random.integers(1, 6, len(changed))
    return replace(data, items=items, ratings=ratings)


def write(data: Dataset, folder: Path) -> Path:
    """Write the data as a folder that can be evaluated."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("item_id", "title", "text", "topic"))
        for at, item_id in enumerate(data.item_ids):
            topic = data.attributes[at]["topic"]
            rows.writerow((item_id, data.titles[at], data.texts[at], topic))
    with (folder / "interactions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("user_id", "item_id", "rating", "timestamp"))
        columns = data.users, data.items, data.ratings, data.times
        for user, item, rating, time in zip(*(each.tolist() for each in columns), strict=True):
            rows.writerow((data.user_ids[user], data.item_ids[item], rating, int(time)))
    return folder


def _text(random: np.random.Generator, words: str) -> str:
    return " ".join(random.choice(words.split(), 12))
