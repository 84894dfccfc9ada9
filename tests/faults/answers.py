"""What a server answers: compared with another server's, and with an exact search by the test."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from longtail.client import LongtailClient
from longtail.v1.filter_pb2 import Filter
from longtail.v1.item_pb2 import STATE_ACTIVE, Item
from longtail.v1.recommendation_service_pb2 import Example, RecommendResponse

from tests.faults.contents import Contents
from tests.faults.items import FILTERS, Filtered, Material, Vector

Listed = list[tuple[str, float]]

LENGTH, LONGEST = 10, 100
# float32 products that are summed in another order differ by less.
CLOSE = 2e-6


@dataclass(frozen=True)
class Question:
    """A request: near to `vector`, what `user_id` liked, or what is popular."""

    vector: Vector | None = None
    query: str = ""
    user_id: str = ""
    filtered: Filtered | None = None
    length: int = LENGTH

    def ask(self, client: LongtailClient, min_revision: int = 0) -> RecommendResponse:
        """Return the answer in order of relevance alone."""
        examples = [] if self.vector is None else [Example(vector=self.vector.tobytes())]
        return client.recommend(
            self.query,
            user_id=self.user_id,
            examples=examples,
            page_size=self.length,
            strength=0.0,
            filter=Filter() if self.filtered is None else self.filtered.filter,
            min_revision=min_revision,
        )


def questions(material: Material, users: Sequence[str] = (), count: int = 6) -> list[Question]:
    """Return questions of every kind; those near to a vector are near to items, and no item's."""
    near = [material.vector(seed, -1 % 2**32) for seed in range(count)]
    return [
        *(Question(vector) for vector in near),
        *(Question(vector, filtered=chosen) for vector in near[:2] for chosen in FILTERS),
        *(Question(user_id=user) for user in users),
        Question(query="a library that reads and writes files"),
        Question(),
        Question(filtered=FILTERS[1]),
        Question(near[0], filtered=FILTERS[0], length=100),
    ]


def check_same(client: LongtailClient, other: LongtailClient, asked: Iterable[Question]) -> None:
    """Fail unless two servers on the same store answer the same."""
    for question in asked:
        ours, theirs = question.ask(client), question.ask(other)
        assert ours.provenance == theirs.provenance
        assert ours.short_page_reason == theirs.short_page_reason
        check_same_list(listed(ours), listed(theirs), question)


def check_sound(client: LongtailClient, asked: Iterable[Question], contents: Contents) -> None:
    """Fail unless answers are made of what is there, and as long as they can be."""
    popularity = contents.popularity()
    active = {key: item for key, item in contents.items.items() if item.state == STATE_ACTIVE}
    for question in asked:
        found = question.ask(client).results
        passing = passing_items(active, question.filtered)
        assert {result.item_id for result in found} <= passing.keys()
        for result in found:
            assert result.title == active[result.item_id].title
            assert result.breakdown.popularity == popularity[result.item_id]
        if not question.user_id:
            assert len(found) == min(question.length, len(passing))


def check_exact(
    client: LongtailClient,
    asked: Iterable[Question],
    items: Mapping[str, Item],
) -> None:
    """Fail unless long answers to questions near to a vector hold the exact nearest.

    They are in the order of relevance, in which popularity counts, too. `items` are what the
    catalogue holds, all active, with vectors of their own.
    """
    ids = list(items)
    matrix = np.stack([np.frombuffer(items[item_id].vector, "<f4") for item_id in ids])
    for question in asked:
        if question.vector is None:
            continue
        cosines = matrix @ question.vector
        passing = passing_items(items, question.filtered)
        order = [at for at in np.argsort(-cosines).tolist() if ids[at] in passing]
        exact = [(ids[at], float(cosines[at])) for at in order[:LENGTH]]
        found = listed(replace(question, length=LONGEST).ask(client))
        nearest = sorted(found, key=lambda each: each[1], reverse=True)[:LENGTH]
        check_same_list(nearest, exact, question)


def passing_items(items: Mapping[str, Item], filtered: Filtered | None) -> dict[str, Item]:
    """Return the items that pass a filter."""
    return {key: item for key, item in items.items() if filtered is None or filtered.passes(item)}


def listed(answer: RecommendResponse) -> Listed:
    """Return the ids of an answer with their similarities."""
    return [(result.item_id, result.breakdown.similarity) for result in answer.results]


def check_same_list(ours: Listed, theirs: Listed, question: Question) -> None:
    """Fail unless two lists are the same but for the order of what is equally near."""
    told = f"{question.filtered=} {question.user_id=}:\n{ours}\n{theirs}"
    assert len(ours) == len(theirs), told
    if not ours:
        return
    similarities = np.array([[similarity for _, similarity in each] for each in (ours, theirs)])
    assert np.abs(similarities[0] - similarities[1]).max() < CLOSE, told
    # Items that are equally near may stand in any order; of those at the end, any may be listed.
    start = 0
    for end in range(1, len(ours) + 1):
        if end < len(ours) and similarities[0, end - 1] - similarities[0, end] < CLOSE:
            continue
        if end < len(ours) or start == 0:
            found, wanted = ({key for key, _ in each[start:end]} for each in (ours, theirs))
            assert found == wanted, told
        start = end
