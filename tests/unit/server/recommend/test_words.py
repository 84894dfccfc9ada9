"""A query finds what says its words, beside what means the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.recommend.request import FrozenCandidates

from tests.unit.server.cinema import Cinema, by_relevance, cinema, direction


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Cinema]:
    """A cinema where four candidates are looked for."""
    with cinema(tmp_path, size=4) as opened:
        yield opened


def test_words_bring_candidates_that_their_meaning_does_not(few: Cinema) -> None:
    # Of the theme of crime, and far from the sea.
    answer = few.answer(query=direction("sea"), words=("detective", "los", "angeles"))
    assert "heat" in answer.candidates.ids
    assert "heat" not in few.candidates(query=direction("sea")).ids
    assert by_relevance(answer.candidates)[0] == "heat"
    words = answer.candidates.evidence.words
    assert words[answer.candidates.ids.index("heat")] == words.max() > 0
    assert words[answer.candidates.ids.index("jaws")] == 0


def test_what_both_lead_to_comes_before_what_one_leads_to(few: Cinema) -> None:
    found = few.candidates(query=direction("space"), words=("robots",))
    assert by_relevance(found)[0] == "robots"


def test_without_words_or_with_those_that_nobody_says_only_meaning_counts(few: Cinema) -> None:
    plain = few.candidates(query=direction("space"))
    strange = few.candidates(query=direction("space"), words=("xyzzy",))
    assert (plain.ids, plain.relevance.tolist()) == (strange.ids, strange.relevance.tolist())


def test_words_keep_to_the_filter_and_to_what_was_seen(few: Cinema) -> None:
    crime = Filter((Condition("theme", Equals(Kind.TEXT, "crime")),))
    found = few.candidates(query=direction("sea"), words=("robots", "paris"), filter=crime)
    assert set(found.ids) == {"heat", "ronin"}
    number = Filter((Condition("theme", Equals(Kind.NUMBER, 1.0)),))
    with pytest.raises(InvalidArgument, match="'theme' holds a text"):
        few.candidates(query=direction("sea"), words=("robots",), filter=number)
    few.does("ann", "heat")
    asked = {"query": direction("sea"), "words": ("detective",), "user_id": "ann"}
    assert "heat" not in few.candidates(**asked).ids


def test_a_later_page_measures_words_as_the_first(few: Cinema) -> None:
    asked = {"query": direction("sea"), "words": ("robots", "paris")}
    first = few.candidates(**asked)
    frozen = FrozenCandidates(tuple(first.ids[1:]), first.scale, 1)
    later = few.candidates(frozen=frozen, **asked)
    assert later.relevance == pytest.approx(first.relevance[1:])
    assert np.count_nonzero(later.evidence.words)
