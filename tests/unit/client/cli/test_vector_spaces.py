"""`longtail vector-spaces`: what the commands ask and print."""

import json

from longtail.v1.admin_service_pb2 import CreateVectorSpaceRequest, DeleteVectorSpaceRequest

from tests.unit.client.cli.command_line import row, run
from tests.unit.client.fake import Fake


def test_spaces_are_declared_listed_and_deleted(fake: Fake) -> None:
    made = run("vector-spaces", "create", "image", "512", address=fake.address)
    listed = run("vector-spaces", "list", address=fake.address)
    as_json = run("vector-spaces", "list", "--json", address=fake.address)
    gone = run("vector-spaces", "delete", "image", "--yes", address=fake.address)

    assert made.output == "image has vectors of 512 numbers\n"
    assert row(listed.output, "image", "512").endswith("12,345")
    (space,) = json.loads(as_json.output)["vector_spaces"]
    assert space == {"name": "image", "dimension": 512, "item_count": "12345"}
    assert gone.output == "deleted image\n"
    assert fake.requests == [
        CreateVectorSpaceRequest(name="image", dimension=512),
        DeleteVectorSpaceRequest(name="image"),
    ]


def test_who_does_not_say_yes_deletes_nothing(fake: Fake) -> None:
    asked = run("vector-spaces", "delete", "image", address=fake.address)
    assert asked.exit_code == 1
    assert "delete image and the vectors of all items in it?" in asked.output
    assert fake.requests == []


def test_a_dimension_out_of_range_is_wrong_usage(fake: Fake) -> None:
    assert run("vector-spaces", "create", "image", "4097", address=fake.address).exit_code == 2
    assert fake.requests == []
