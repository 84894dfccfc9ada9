"""A head over real processes: a file in the home serves once it is there, and after a restart."""

from pathlib import Path

import numpy as np
import pytest
from longtail.client import LongtailClient
from longtail.server.ranking.head.head import Head, read_head, write_head

from tests import processes
from tests.films import films, liked

pytestmark = pytest.mark.model


def spaces(client: LongtailClient) -> set[str]:
    """Return the spaces of vectors that what a person is shown is explained by."""
    reply = client.recommend(user_id="ann", page_size=3, explain="full")
    return {space.space for result in reply.results for space in result.breakdown.spaces}


def test_a_head_serves_as_soon_as_it_is_there_and_after_a_restart(
    worker_address: str, tmp_path: Path
) -> None:
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(films())
        client.write_interactions([liked("ann", "alien")])
        info = client.server_info()
        assert spaces(client) == set()
        random = np.random.default_rng(0)
        inner = random.normal(size=(info.dimension, 4)).astype(np.float32)
        write_head(Head(inner, 0.1 * inner.T, info.model_id), tmp_path / "head.npz")
        head = read_head(tmp_path / "head.npz").version
        processes.wait_until(lambda: client.server_info().head == head, running.log)
        assert spaces(client) == {"adapted"}
    with (
        processes.server(tmp_path, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        assert spaces(client) == {"adapted"}
        client.upsert_items([film for film in films() if film.id == "heat"])
        (tmp_path / "head.npz").unlink()
        processes.wait_until(lambda: not client.server_info().head, running.log)
        assert spaces(client) == set()
