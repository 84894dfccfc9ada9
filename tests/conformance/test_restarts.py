"""A server that ends, or is killed, comes back with everything that it had."""

import signal

import pytest
from longtail.client import LongtailClient, named_vectors

from tests.conformance.asked import item, items, near, put
from tests.conformance.deployment import Deployment
from tests.conformance.test_writes import viewed
from tests.faults.answers import Listed, listed
from tests.faults.contents import Contents
from tests.faults.extent import extent
from tests.faults.items import IMAGE, IMAGE_DIMENSION, Material

pytestmark = pytest.mark.model

COUNT, LATE = 80, 20
ENDS = extent([signal.SIGKILL], [signal.SIGTERM, signal.SIGKILL])
# Of which nothing else in the suite depends.
SEEN = "seen-by-eve"


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_everything_is_there_after_a_restart(
    deployment: Deployment, material: Material, number: signal.Signals
) -> None:
    client = deployment.client
    client.create_vector_space(IMAGE, IMAGE_DIMENSION)
    catalogue = items(material, COUNT + LATE)
    for each in catalogue[::2]:
        at = int(each.id.removeprefix("item-"))
        picture = material.vector(at)[:IMAGE_DIMENSION].tolist()
        each.extra_vectors.extend(named_vectors({IMAGE: picture}))
    put(client, [*catalogue[:COUNT], item(material, SEEN, 777)])
    deployment.rebuild()
    # Some are in the graph, some are scanned, some are gone.
    put(client, catalogue[COUNT:])
    client.delete_items([each.id for each in catalogue[::10]])
    client.write_interactions([viewed("eve", SEEN, at) for at in range(3)])
    before, held = answers(client, material), contents(client)
    revision = client.server_info().revision
    deployment.first.restart(number)
    assert contents(client) == held
    assert answers(client, material) == before
    # It goes on where it was.
    written = put(client, catalogue[:1])
    assert written > revision
    for asked in deployment.clients:
        found = near(asked, catalogue[0].vector, min_revision=written)
        assert found.results[0].item_id == catalogue[0].id


def contents(client: LongtailClient) -> tuple[Contents, list[str]]:
    """Return what a server has, but for what other tests left of people, and its vector spaces."""
    found = Contents()
    found.put(client.export_items())
    found.events = {each.event_id: each for each in client.list_interactions(user_id="eve")}
    return found, [space.name for space in client.list_vector_spaces().vector_spaces]


def answers(client: LongtailClient, material: Material) -> list[Listed]:
    """Return what a server finds near to some vectors, for a person, and where nothing is asked."""
    vectors = [material.vector(number, version) for number in (1, 2, COUNT) for version in (0, 9)]
    found = [near(client, vector, 20) for vector in vectors]
    found += [near(client, vector[:IMAGE_DIMENSION], 20, space=IMAGE) for vector in vectors]
    found += [
        client.recommend(user_id="eve"),
        client.recommend(query="reads files"),
        client.recommend(),
    ]
    return [listed(reply) for reply in found]
