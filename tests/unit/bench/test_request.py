import asyncio
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.processes import ROOT
from bench.request.heavy import HEAVY
from bench.request.homes import LEAST_LIKES, MOST_LIKES, PEOPLE, Large
from bench.request.traced import Trace
from bench.texts import Catalogue


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_call_is_legal_and_new_each_time_where_it_writes(name: str) -> None:
    method, request = HEAVY[name]
    first, second = (request(turn).SerializeToString() for turn in (0, 1))
    assert max(len(first), len(second)) <= 16 * 2**20
    assert (first != second) == ("Recommend" not in method)


def test_invented_people_like_each_item_once_and_the_popular_ones_more() -> None:
    items = 2_000
    known = Catalogue(
        [str(at) for at in range(items)], ["x"] * items, [0.0] * 1_000 + [9.0] * 1_000
    )
    likes = Large(known, np.empty((items, 2), np.float32)).likes
    assert len(likes) == PEOPLE
    assert all(LEAST_LIKES <= len(rows) == len(set(rows)) <= MOST_LIKES for rows in likes)
    popular = np.mean([row >= 1_000 for rows in likes for row in rows])
    assert popular == pytest.approx(10 / 11, abs=0.02)


def test_calls_are_counted_from_the_service_to_its_answer(tmp_path: Path) -> None:
    # In the place of ours, which is told by its folder.
    module = tmp_path / "server" / "fake.py"
    module.parent.mkdir()
    module.write_text(
        "import asyncio\n"
        "def inner(): return 1\n"
        "def twice(): inner(); inner()\n"
        "class RecommendationService:\n"
        "    async def Recommend(self):\n"
        "        await asyncio.sleep(0)\n"
        "        twice()\n"
        "        return 'answer'\n"
    )
    fake = runpy.run_path(str(module))
    out = tmp_path / "traces"
    sys.setprofile(Trace(out))
    try:
        asyncio.run(fake["RecommendationService"]().Recommend())
        fake["twice"]()
    finally:
        sys.setprofile(None)
    (counted,) = (json.loads(line) for line in out.read_text().splitlines())
    assert (counted["our_calls"], counted["functions"], counted["files"]) == (4, 3, 1)
    assert (ROOT / "bench" / "request" / "traced.py").exists()
