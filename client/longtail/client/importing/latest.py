"""Has the latest that a file says of a person, an item and a type count, whatever was recorded.

A file of ratings, say, that has each of them as it is now, and not every change. What it says and
the server has already is left alone; what differs is recorded as one more interaction, the latest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain

import grpc
from google.rpc import status_pb2
from longtail.client.calls.errors import LongtailError
from longtail.client.calls.sync import LongtailClient
from longtail.client.importing.interaction_rows import digest_of
from longtail.client.importing.patience import Write
from longtail.client.importing.report import Acknowledgement, ImportReport, Numbered
from longtail.client.importing.writes import writing_interactions
from longtail.v1.interaction_service_pb2 import Interaction

# Interactions that are read at a time: of a person with an item there are few, as a rule.
PAGE, LONG_PAGE = 20, 1_000
# Of so many items of a person what counts is looked for among all that they did.
MANY = 8

# Comes before all that ids begin with.
FIRST = "!"

# An item and a type.
Key = tuple[str, str]


def latest_lines(interactions: Iterable[Numbered[Interaction]]) -> set[int]:
    """Return the lines of those that are the latest of their person, item and type.

    By their times, and at one moment, or without times, by their order.
    """
    latest: dict[bytes, tuple[int, int]] = {}
    for numbered in interactions:
        message = numbered.message
        key = digest_of(message.user_id, message.item_id, message.type)
        at = message.time.ToNanoseconds(), numbered.line
        latest[key] = max(latest.get(key, at), at)
    return {line for _, line in latest.values()}


def at_lines(
    interactions: Iterable[Numbered[Interaction]], lines: Set[int], report: ImportReport
) -> Iterator[Numbered[Interaction]]:
    """Yield those at `lines`; the others are duplicates."""
    for numbered in interactions:
        if numbered.line in lines:
            yield numbered
        else:
            report.duplicates += 1


def writing_latest(client: LongtailClient) -> Write[Interaction]:
    """Return what records those of a batch whose value is not the one that counts already."""
    record = writing_interactions(client)

    def write(interactions: Sequence[Interaction], request_id: str) -> Acknowledgement:
        counting = _counting(client, interactions)
        changed = {
            at: change
            for at, each in enumerate(interactions)
            if (change := _change(each, counting.get((each.user_id, *_key(each))))) is not None
        }
        statuses = [status_pb2.Status() for _ in interactions]
        if not changed:
            return Acknowledgement(statuses, 0, 0)
        answer = record(list(changed.values()), request_id)
        places = list(changed)
        for at, status in zip(places, answer.statuses, strict=True):
            statuses[at] = status
        return Acknowledgement(
            statuses,
            answer.recorded,
            answer.revision,
            [places[at] for at in answer.unattributed],
            [places[at] for at in answer.unknown],
        )

    return write


def _counting(
    client: LongtailClient, interactions: Sequence[Interaction]
) -> dict[tuple[str, str, str], Interaction]:
    """Return what the server has as the latest of each person, item and type, where it has any."""
    sought: defaultdict[str, set[Key]] = defaultdict(set)
    for each in interactions:
        sought[each.user_id].add(_key(each))
    counting: dict[tuple[str, str, str], Interaction] = {}
    for user_id, keys in sought.items():
        for found in _found(client, user_id, keys):
            # Under its pseudonym a person may be another than was asked for.
            counting.setdefault((user_id, *_key(found)), found)
            keys.discard(_key(found))
            if not keys:
                break
    return counting


def _found(client: LongtailClient, user_id: str, keys: Set[Key]) -> Iterable[Interaction]:
    if len(keys) >= MANY:
        return _taken(client.list_interactions(user_id=user_id, page_size=LONG_PAGE))
    items = {item_id for item_id, _ in keys}
    return chain.from_iterable(
        _taken(client.list_interactions(user_id=user_id, item_id=each, page_size=PAGE))
        for each in items
    )


def _taken(found: Iterable[Interaction]) -> Iterator[Interaction]:
    """Yield what is found; nothing of an id that none can have, which is refused when written."""
    try:
        yield from found
    except LongtailError as error:
        if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
            raise


def _key(interaction: Interaction) -> Key:
    return interaction.item_id, interaction.type


def _change(wanted: Interaction, counting: Interaction | None) -> Interaction | None:
    """Return what is to be recorded for `wanted` to count; None where it does, or is older."""
    if counting is None:
        return wanted
    value = wanted.value if wanted.HasField("value") else 1.0
    if counting.value == value:
        return None
    before = 0
    if wanted.HasField("time"):
        given, held = wanted.time.ToNanoseconds(), counting.time.ToNanoseconds()
        if given < held:
            return None
        if given == held:
            # Of one moment the first by its event_id is the latest.
            before = 1 + len(counting.event_id) - len(counting.event_id.lstrip(FIRST))
    change = Interaction()
    change.CopyFrom(wanted)
    # Another one than that of the same value before, and the same in each repetition.
    digest = digest_of(wanted.event_id, counting.event_id, repr(value)).hex()
    change.event_id = FIRST * before + digest
    return change
