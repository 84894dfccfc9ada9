"""Which engine is chosen, what is said where its client is missing, and what no engine can do."""

import sys
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import Unavailable
from longtail.runtime.settings import SettingsError, load
from longtail.server.catalogue.index import vector_index
from longtail.server.catalogue.index.engines.choice import backend_at
from longtail.server.catalogue.index.graph import GraphAway
from longtail.server.catalogue.index.hnsw import HnswGraph
from longtail.server.settings import Settings

from tests.unit.server.index_material import everything, index_of, vectors

ENGINES = "longtail.server.catalogue.index.engines"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://ann@db/longtail", "pgvector"),
        ("postgres://db", "pgvector"),
        ("http://ann:secret@milvus:19530", "milvus"),
        ("https://milvus:19530/longtail", "milvus"),
        ("postgresql://ann:p%40%2F@[::1]:5432,db:5433/longtail?sslmode=require", "pgvector"),
        ("postgresql:///longtail?host=/run/postgresql", "pgvector"),
    ],
)
def test_an_address_says_which_engine_it_is(url: str, kind: str) -> None:
    assert load(Settings, {"LONGTAIL_INDEX_ENGINE": url}).index_engine == url
    assert backend_at(url).kind == kind


@pytest.mark.parametrize(
    "url",
    [
        "pgvector",
        "mysql://ann:not-to-be-shown@db",
        "milvus:19530",
        # Their clients would take a part of these passwords for the host or the port.
        "postgresql://ann:a@not-to-be-shown@db/longtail",
        "postgresql://ann:not-to-be-shown/a@db/longtail",
        "postgresql://ann:not-to-be-shown%@db/longtail",
        "http://ann:not-to-be-shown/a@db:19530",
        "http://ann:not-to-be-shown?a@db:19530",
    ],
)
def test_what_is_no_engine_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="LONGTAIL_INDEX_ENGINE") as raised:
        load(Settings, {"LONGTAIL_INDEX_ENGINE": url})
    assert url not in str(raised.value)
    assert "not-to-be-shown" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "module", "library", "extra"),
    [
        ("postgresql://db", "pgvector.pgvector", "psycopg", "postgresql"),
        ("http://db", "milvus", "pymilvus", "milvus"),
    ],
)
def test_a_client_that_is_missing_is_named_with_what_to_install(
    url: str, module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        each for each in sys.modules if each.startswith(f"{ENGINES}.{module.split('.')[0]}")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingsError, match=rf"needs {library}: .*\[{extra}\]"):
        backend_at(url)


def test_more_than_can_be_compared_in_time_is_refused_while_an_engine_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = vectors(1200)
    index = index_of(tmp_path, rows)

    def away(_graph: HnswGraph, _vector: np.ndarray, _k: int) -> None:
        raise GraphAway("away")

    monkeypatch.setattr(HnswGraph, "search", away)
    scope = everything(1200)
    assert (
        index.search(rows[4], 10, scope)[0].tolist() == index.scan(rows[4], 10, scope)[0].tolist()
    )
    monkeypatch.setattr(vector_index, "SCANNED_ROWS", 1000)
    with pytest.raises(Unavailable, match="too much to be compared"):
        index.search(rows[4], 10, scope)
