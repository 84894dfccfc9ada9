"""A server that is killed again and again while it changes its encoder."""

import random
import signal
import time
from pathlib import Path

import pytest
from longtail.client import LongtailClient, filter_of, where
from longtail.v1.admin_service_pb2 import OperationState
from longtail.v1.item_pb2 import Item

from tests import processes
from tests.faults.answers import Listed, Question, check_same_list, listed
from tests.faults.extent import extent
from tests.faults.items import Filtered, Material, batches
from tests.faults.stores import check_store, wait_for
from tests.faults.tally import Tally

pytestmark = pytest.mark.model

KILLS = extent(2, 10)
TEXTS = extent(300, 3000)
LONGEST_SECONDS = extent(0.5, 2.0)
SETTINGS = {"LONGTAIL_INDEX_MERGE_ROWS": "50"}
SUCCEEDED = OperationState.OPERATION_STATE_SUCCEEDED
# Of what is written while the encoder changes there is more each time.
EARLY = Filtered(filter_of(all_of=[where("late").missing()]), lambda item: True)
QUESTIONS = [
    Question(query=query, filtered=EARLY)
    for query in (
        "parse a configuration file",
        "draw charts in the browser",
        "a client for a database",
        "test runner",
    )
]


def test_a_change_of_encoder_survives_kills(
    worker_address: str,
    other_worker_address: str,
    material: Material,
    tmp_path: Path,
    tally: Tally,
) -> None:
    items = material.catalogue(TEXTS, own_vectors=False)
    moments = random.Random(5)
    home, reference = tmp_path / "store", tmp_path / "reference"
    home.mkdir()
    reference.mkdir()
    old, old_answers = answers_of(home, worker_address, items)
    new, new_answers = answers_of(reference, other_worker_address, items)
    expected = {old: old_answers, new: new_answers}
    assert old != new
    workers = f"{worker_address},{other_worker_address}"
    operation_id, encoded, late = "", 0, list[Item]()
    for kill in range(KILLS + 1):
        with (
            processes.server(home, workers, **SETTINGS) as running,
            LongtailClient(running.address) as client,
        ):
            check_answers(client, expected)
            if not operation_id:
                wait_for(lambda: processes.health(running.address) == 1)
                operation_id = client.rebuild_index(new).operation.id
            operation = client.get_operation(operation_id).operation
            assert min(operation.done_count, TEXTS) >= encoded
            late.append(late_item(material, kill))
            client.upsert_items(late[-1:])
            check_late(client, late)
            if kill == KILLS:
                client.wait_for_operation(operation_id)
                check_answers(client, {new: new_answers})
                check_late(client, late)
                assert running.stop() == 0
                break
            time.sleep(moments.uniform(0, LONGEST_SECONDS))
            operation = client.get_operation(operation_id).operation
            encoded = min(operation.done_count, TEXTS)
            running.stop(signal.SIGKILL)
            tally.count("kills")
            tally.count("of them before the switch", operation.state != SUCCEEDED)
            tally.count("of them while texts were encoded", 0 < encoded < TEXTS)
    check_store(home)


def answers_of(home: Path, worker_address: str, items: list[Item]) -> tuple[str, list[Listed]]:
    """Write items to a new store; return its encoder, and how it answers the questions."""
    with (
        processes.server(home, worker_address, **SETTINGS) as running,
        LongtailClient(running.address) as client,
    ):
        for batch in batches(items):
            client.upsert_items(batch, timeout=60)
        answers = [listed(question.ask(client)) for question in QUESTIONS]
        model = client.server_info().model_id
        assert running.stop() == 0
    return model, answers


def check_answers(client: LongtailClient, expected: dict[str, list[Listed]]) -> None:
    """Fail unless every answer is that of an encoder, whole."""
    for position, question in enumerate(QUESTIONS):
        answer = question.ask(client)
        wanted = expected[answer.provenance.model_id][position]
        check_same_list(listed(answer), wanted, question)


def check_late(client: LongtailClient, late: list[Item]) -> None:
    """Fail unless everything that was written during the change is found."""
    for item in late:
        found = client.recommend(f"{item.title}\n{item.text}", strength=0.0, page_size=1)
        assert found.results[0].item_id == item.id


def late_item(material: Material, number: int) -> Item:
    """Return an item that is not among the first ones, nor the same as one of them."""
    item = material.item(f"late-{number}", TEXTS + 17 * (number + 1), own_vector=False)
    item.text = f"{item.text} It came late, as number {number}."
    item.attributes["late"] = True
    return item
