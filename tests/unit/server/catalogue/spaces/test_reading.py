"""Who reads spaces takes no lock, whatever is written, merged and switched meanwhile."""

import threading
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue import replica as replica_module
from longtail.server.catalogue.spaces.space import ADAPTED

from tests.unit.server.catalogues import NOW, indexer_of, item, opened, pictured, unit, view_of
from tests.unit.server.heads import head

WIDTH, ITEMS, READERS = 6, 120, 2


def test_readers_see_whole_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "AT_ONCE_ROWS", 50)
    with opened(tmp_path) as written:
        image, view = written.declare("image", WIDTH), view_of(written, tmp_path)
        done, failures, reads = threading.Event(), list[str](), list[int]()

        def read(seed: int) -> None:
            count = 0
            while not done.wait(0.001) or not count:
                state = view.state
                spaces, scope = state.spaces, state.scope(NOW, None)
                for name, dimension in (("image", WIDTH), (ADAPTED, 16)):
                    if name not in spaces:
                        continue
                    query = unit(seed + count, dimension)
                    rows, cosines = spaces[name].search(query, 20, scope, once=name == ADAPTED)
                    products = spaces[name].vectors(rows) @ query
                    if not np.allclose(products, cosines, atol=1e-5):
                        failures.append(f"{name}: other vectors than those that were found")
                    if not state.columns.are_visible(rows, scope.revision).all():
                        failures.append(f"{name}: what is not there at the revision")
                    if len(set(rows.tolist())) < len(rows):
                        failures.append(f"{name}: one twice")
                count += 1
            reads.append(count)

        threads = [threading.Thread(target=read, args=(seed * 1000,)) for seed in range(READERS)]
        for thread in threads:
            thread.start()
        try:
            indexer = indexer_of(written, view, tmp_path, merge_rows=30)
            for number in range(0, ITEMS, 20):
                numbers = range(number, number + 20)
                written.upsert(
                    *(pictured(f"i{each % 80}", image, each, each) for each in numbers),
                    *(pictured(f"bare{each % 80}", image, each) for each in numbers[::4]),
                    *(item(f"plain{each % 80}", each) for each in numbers[::5]),
                )
                written.remove(f"i{number // 2}")
                view.follow()
                if number % 60 == 0:
                    view.adapt(head(number))
                indexer._build_what_is_due()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert len(reads) == READERS
        assert view.state.spaces[ADAPTED].live_count == view.live_count - sum(
            view.state.columns.ids[row].startswith("bare")
            for row in np.flatnonzero(view.state.columns.live()).tolist()
        )
