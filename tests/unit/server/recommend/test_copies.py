"""Items that are the same: one of them in a list, and the same one wherever its vector is held."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.generation import latest_generation
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.ranking.duplicates import SAME
from longtail.server.recommend.request import OddsRule, PinRule, Policy, Request
from longtail.server.rpc.recommendations import NOBODY
from longtail.server.rpc.write.explanation import explain_unlisted
from longtail.server.rpc.write.recommend_response import recommend_response
from longtail.server.store.records import ItemContent, NewItem, Vector
from longtail.v1 import recommendation_service_pb2 as pb

from tests.films import FILMS
from tests.unit.server.catalogues import indexer_of, unit, view_of
from tests.unit.server.cinema import Cinema, cinema, direction, like_it, listed, request
from tests.unit.server.index_material import ignore

COPIES, SIZE = 20_000, 200
STRONG = Policy(strength=0.3)


def beside(vector: Vector, cosine: float, seed: int = 7) -> Vector:
    """Return a unit vector at a cosine to another."""
    other = unit(seed).astype(np.float64)
    other -= (other @ vector) * vector
    other /= np.linalg.norm(other)
    found: Vector = (cosine * vector + np.sqrt(1 - cosine**2) * other).astype(np.float32)
    return found


def thing(
    item_id: str, vector: Vector, prior: float = 0.0, penalty: float = 0.0, **attributes: object
) -> NewItem:
    content = ItemContent(item_id, item_id, "", attributes, prior, penalty=penalty)
    return NewItem(content, vector, vector_given=True)


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path, size=SIZE) as opened:
        yield opened


def merge(films: Cinema) -> None:
    """Bring what stands beside the graph into it, as the indexer does when there is enough."""
    view = films.view
    target = view.target(films.written.encoder)
    previous = latest_generation(target, revision=view.revision)
    assert view.adopt(build(target, view.state.source(), previous, ignore))
    assert not view.state.index.delta_rows


def rebuild(films: Cinema, folder: Path) -> None:
    indexer_of(films.written, films.view, folder).rebuild(films.written.encoder, ignore)


def found(
    films: Cinema, view: CatalogueReplica, asked: Request
) -> tuple[int, list[str], list[str]]:
    """Return the revision of an answer, its candidates in their order, and its list."""
    answer = films.recommender.recommend(view.state, asked, NOBODY)
    return answer.context.scope.revision, answer.candidates.ids, listed(answer)


def test_a_list_is_the_same_before_and_after_a_merge_and_a_restart(
    films: Cinema, tmp_path: Path
) -> None:
    one = unit(2)
    near = beside(one, 0.95)
    copies = [f"copy {number:05}" for number in range(COPIES)]
    half = COPIES // 2
    films.written.upsert(*(thing(each, one) for each in copies[:half]))
    merge(films)
    films.written.upsert(thing("near", near), *(thing(each, one) for each in copies[half:]))
    asked = [
        request(query=near, allow_copies=allow_copies, page_size=50)
        for allow_copies in (False, True)
    ]

    def lists(view: CatalogueReplica) -> list[tuple[int, list[str], list[str]]]:
        return [found(films, view, each) for each in asked]

    def hold_everywhere() -> list[list[str]]:
        """Return the candidates, the same in another process, and whatever the index does."""
        before = lists(films.view)
        other_process = view_of(films.written, tmp_path)
        assert lists(other_process) == before
        merge(films)
        assert lists(films.view) == before
        other_process.follow()
        assert lists(other_process) == before
        assert lists(view_of(films.written, tmp_path)) == before
        rebuild(films, tmp_path)
        assert lists(films.view) == before
        return [candidates for _, candidates, _ in before]

    once, all_of_them = hold_everywhere()
    assert once[:2] == ["near", "copy 00000"]
    assert len(once) == 2 + 12
    assert all_of_them == ["near", *copies[: SIZE - 1]]

    films.written.remove("copy 00000")
    once, all_of_them = hold_everywhere()
    assert once[:2] == ["near", "copy 00001"]
    assert all_of_them == ["near", *copies[1:SIZE]]

    # One copy becomes another item; one is written again as it was, and is now the latest.
    films.written.upsert(thing("copy 00002", beside(near, 0.99)), thing("copy 00001", one))
    once, all_of_them = hold_everywhere()
    assert set(once[:3]) == {"near", "copy 00002", "copy 00003"}
    assert set(all_of_them) == {"near", "copy 00002", *copies[3 : SIZE + 1]}


@pytest.mark.parametrize("allow_copies", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_copies_that_are_just_being_taken_in_are_not_seen_yet(
    films: Cinema, merged: bool, allow_copies: bool
) -> None:
    one = unit(2)
    films.written.upsert(*(thing(f"copy {at}", one) for at in range(5)))
    if merged:
        merge(films)
    asked = request(query=one, allow_copies=allow_copies, page_size=50)
    before = found(films, films.view, asked)
    # The index has their vectors before the columns have room for them.
    films.view.state.index.append(np.tile(one, (COPIES, 1)))
    assert found(films, films.view, asked) == before


@pytest.mark.parametrize("cosine", [1.0, 0.9995])
@pytest.mark.parametrize("merged", [False, True])
def test_copies_do_not_fill_a_list(
    films: Cinema, tmp_path: Path, cosine: float, merged: bool
) -> None:
    sea = direction("sea")
    copies = [beside(sea, cosine, seed) for seed in range(1000, 1000 + SIZE)]
    films.written.upsert(*(thing(f"copy {at}", each) for at, each in enumerate(copies)))
    if merged:
        merge(films)
    for policy in (Policy(0.0), Policy(0.3, diversity=1.0)):
        answer = films.answer(policy, query=sea, page_size=10)
        ids = listed(answer)
        assert len(ids) == 10
        assert answer.copies
        vectors = answer.candidates.vectors
        assert (vectors @ vectors.T - np.eye(len(vectors))).max() < SAME
        beside_it = films.answer(policy, query=sea, page_size=10, allow_copies=True)
        assert sum(each.startswith("copy") for each in listed(beside_it)) > 5
        assert not beside_it.copies


def test_the_least_popular_copy_has_its_place_and_pure_relevance_the_most_popular(
    films: Cinema,
) -> None:
    sea = direction("sea")
    priors = {"some": 3.0, "known": 9.0, "unknown": 1.0, "later": 1.0}
    films.written.upsert(*(thing(each, sea, prior) for each, prior in priors.items()))
    assert films.candidates(query=sea).ids[0] == "known"
    assert films.answer(STRONG, query=sea).candidates.ids[0] == "unknown"
    films.written.upsert(thing("unknown", sea, 1.0))
    assert films.answer(STRONG, query=sea).candidates.ids[0] == "later"
    films.crowd(3, "later")
    assert films.answer(STRONG, query=sea).candidates.ids[0] == "unknown"


def test_what_the_business_wants_stands_for_its_copies(films: Cinema) -> None:
    sea = direction("sea")
    films.written.upsert(
        thing("poor", sea, 0.0, penalty=0.5), thing("fair", sea, 5.0), thing("known", sea, 9.0)
    )
    asked = {"query": sea, "policy": STRONG}
    assert films.candidates(**asked).ids[0] == "fair"
    boost = OddsRule("", 2.0, None, frozenset({"poor", "known"}), 0)
    assert films.candidates(**asked, odds_rules=(boost,)).ids[0] == "known"
    pool = films.candidates(**asked, odds_rules=(boost,), pins=(PinRule("", "poor", 4),))
    assert {"poor", "fair", "known"} & set(pool.ids) == {"poor"}
    pins = (PinRule("", "poor", 4), PinRule("", "known", 2))
    answer = films.answer(STRONG, query=sea, pins=pins)
    assert {"poor", "fair", "known"} & set(answer.candidates.ids) == {"poor", "known"}
    assert (listed(answer)[4], listed(answer)[2]) == ("poor", "known")


def test_what_likes_lead_to_stands_for_its_copies(films: Cinema) -> None:
    films.written.upsert(thing("liked", direction("sea"), 50.0), thing("other", direction("sea")))
    films.crowd(9, "heat", "liked")
    films.does("ann", "heat")
    pool = films.candidates(user_id="ann", policy=STRONG)
    assert {"liked", "other"} & set(pool.ids) == {"liked"}
    assert {"liked", "other"} <= set(films.candidates(user_id="ann", allow_copies=True).ids)


@pytest.mark.parametrize("merged", [False, True])
def test_filters_and_exclusions_come_before_copies_are_left_out(
    films: Cinema, tmp_path: Path, merged: bool
) -> None:
    sea = direction("sea")
    films.written.upsert(*(thing(f"c{at}", sea, float(at), shelf=at) for at in range(4)))
    if merged:
        merge(films)

    def standing(**asked: object) -> list[str]:
        ids = films.answer(STRONG, query=sea, **asked).candidates.ids
        return [each for each in ids if each.startswith("c")]

    assert standing() == ["c0"]
    assert standing(excluded=frozenset({"c0", "c1"})) == ["c2"]
    assert standing(item_examples=like_it("c0")) == ["c1"]
    films.does("ann", "c0", "c2")
    assert standing(user_id="ann") == ["c1"]
    shelf = Filter((Condition("shelf", Equals(Kind.NUMBER, 3.0)),))
    assert standing(filter=shelf) == ["c3"]
    assert standing(excluded=frozenset({"c0", "c1", "c2", "c3"})) == []


def test_pages_hold_no_copies_of_each_other(films: Cinema) -> None:
    sea = direction("sea")
    films.written.upsert(*(thing(f"copy {at}", sea) for at in range(40)))
    answer = films.answer(query=sea, page_size=5)
    ids = [*listed(answer), *answer.remaining]
    assert len(ids) == len(set(ids)) == 13
    assert sum(each.startswith("copy") for each in ids) == 1


def test_nobody_known_gets_popular_items_that_are_different(films: Cinema) -> None:
    films.written.upsert(*(thing(f"hit {at}", unit(5), 100.0 + at) for at in range(300)))
    answer = films.answer(page_size=10)
    ids = listed(answer)
    assert len(ids) == 10
    assert [each for each in answer.candidates.ids if each.startswith("hit")] == ["hit 299"]
    many = films.answer(page_size=10, allow_copies=True).candidates.ids
    assert sum(each.startswith("hit") for each in many) > 10


def test_a_copy_is_told_what_stands_for_it(films: Cinema) -> None:
    sea = direction("sea")
    films.written.upsert(thing("one", sea), thing("other", beside(sea, 0.9995)))
    films.written.remove(*FILMS)
    answer = films.answer(query=sea, page_size=3)
    assert listed(answer) == ["one"]
    reply = recommend_response(answer, pb.EXPLAIN_NONE)
    assert reply.short_page_reason == pb.SHORT_PAGE_REASON_COPIES
    alone = films.recommender.alone(answer, "other")
    explained = explain_unlisted(answer, "other", alone)
    assert explained.verdict == pb.VERDICT_COPY
    assert explained.summary.startswith("It is the same as 'one', which stands for it.")
    both = films.answer(query=sea, page_size=3, allow_copies=True)
    assert listed(both) == ["one", "other"]
    reply = recommend_response(both, pb.EXPLAIN_NONE)
    assert reply.short_page_reason == pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED
