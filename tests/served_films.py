"""A server with a dozen films that have genres, three of them known to many."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from longtail.client import LongtailClient
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from tests import processes
from tests.films import films, liked

GENRES = {
    "alien": ["space", "horror"],
    "robots": ["robots", "comedy"],
    "wall-e": ["space", "robots"],
    "moon": ["space"],
    "solaris": ["space"],
    "heat": ["crime"],
    "ronin": ["crime", "paris"],
    "amelie": ["romance", "paris"],
    "ratatouille": ["comedy", "paris"],
    "jaws": ["horror"],
    "up": ["comedy"],
    "big": ["comedy"],
}
SPACE = "a crew in a spaceship is hunted"


def catalogue() -> list[item_pb2.Item]:
    """Return the films, and three items that are not to be recommended, each for another reason."""
    items = films()
    for item in items:
        item.attributes.update({"genres": GENRES[item.id], "year": 1999})
    secret = item_pb2.Item(id="secret", title="A secret spaceship", state=item_pb2.STATE_HIDDEN)
    draft = item_pb2.Item(id="draft", title="A draft of a spaceship")
    draft.state = item_pb2.STATE_IN_REVIEW
    coming = item_pb2.Item(id="coming", title="A spaceship to come")
    coming.available_from.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    return [*items, secret, draft, coming]


@contextmanager
def served_films(home: Path, worker_address: str) -> Iterator[LongtailClient]:
    """Run a server with the films and yield its client; ann liked two of them."""
    with (
        processes.server(home, worker_address) as running,
        LongtailClient(running.address) as client,
    ):
        client.upsert_items(catalogue())
        crowd = [liked(f"user-{n}", item) for n in range(40) for item in ("alien", "heat", "moon")]
        client.write_interactions([*crowd, liked("ann", "alien"), liked("ann", "wall-e")])
        yield client


def ids(reply: pb.RecommendResponse) -> list[str]:
    """Return the items of a list."""
    return [result.item_id for result in reply.results]


def result_of(reply: pb.RecommendResponse, item_id: str) -> pb.Recommendation:
    """Return the result that is an item, which must be listed."""
    [found] = (result for result in reply.results if result.item_id == item_id)
    return found
