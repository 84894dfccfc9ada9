"""A catalogue that gets another encoder: each answer is of one of them, whole."""

from pathlib import Path

import pytest
from longtail.client import LongtailClient
from longtail.worker.artefact import load

from tests.conformance.asked import ids, put
from tests.conformance.combinations import Combination
from tests.conformance.deployments import Deployments
from tests.faults.answers import Listed, listed
from tests.faults.extent import FULL
from tests.faults.items import Material
from tests.films import films

pytestmark = [
    pytest.mark.model,
    # Without it other items have the text that is asked for.
    pytest.mark.usefixtures("development_data"),
    pytest.mark.skipif(not FULL, reason="takes another encoder, and servers of its own"),
]

TEXTS = 60
QUERY = "a robot alone in space"


def test_an_encoder_is_changed_while_lists_are_asked_for(
    combination: Combination,
    deployments: Deployments,
    material: Material,
    worker_address: str,
    other_encoder: Path,
    other_worker_address: str,
) -> None:
    both = f"{worker_address},{other_worker_address}"
    with deployments.fresh(combination, worker_address) as deployment:
        catalogue = material.catalogue(TEXTS, own_vectors=False)
        for each in catalogue:
            each.popularity_prior = 0
        written = put(deployment.client, [*catalogue, *films()])
        old = deployment.client.server_info().model_id
        for asked in deployment.clients:
            asked.recommend(min_revision=written)
        before = [found(asked) for asked in deployment.clients]
        for server in deployment.servers:
            server.worker_address = both
            server.restart()
        assert [found(asked) for asked in deployment.clients] == before
        new = load(other_encoder).manifest.model_id
        asked_for = deployment.client.rebuild_index(new).operation.id
        while not deployment.has_ended(asked_for):
            for asked in deployment.clients:
                answer = asked.recommend(QUERY, strength=0.0)
                assert answer.provenance.model_id in (old, new)
                assert answer.results[0].item_id == "wall-e"
        revision = deployment.client.server_info().revision
        for asked in deployment.clients:
            answer = asked.recommend(QUERY, strength=0.0, min_revision=revision)
            assert answer.provenance.model_id == new
            assert answer.results[0].item_id == "wall-e"
        written = put(deployment.client, films()[:1])
        for asked in deployment.clients:
            reply = asked.recommend(films()[0].text, strength=0.0, min_revision=written)
            assert ids(reply)[0] == films()[0].id


def found(client: LongtailClient) -> Listed:
    """Return what a server finds for a query by its meaning."""
    return listed(client.recommend(QUERY, strength=0.0, ignore_words=True, page_size=20))
