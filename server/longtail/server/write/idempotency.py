"""Calls that can be repeated: what a `request_id` was answered is answered again, for a day."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.store.clock import now
from longtail.server.store.records import RecordedRequest
from longtail.server.store.requests import RequestRecords
from longtail.server.store.transaction import Transaction

R = TypeVar("R")

KEPT_MICROSECONDS = 24 * 3600 * 10**6
# Two old ones go for each that comes, so that they get fewer and no write has much to do.
PRUNED_AT_ONCE = 2


@dataclass(frozen=True)
class RepeatableCall(Generic[R]):
    """A call with a `request_id`; `digest` stands for all else that it asks for."""

    request_id: str
    method: str
    digest: bytes
    serialize: Callable[[R], bytes]
    parse: Callable[[bytes], R]


class AnsweredCalls:
    """The calls that were answered, in the store: its writes and their answers stay together."""

    def __init__(self, requests: RequestRecords) -> None:
        self._requests = requests

    def find(self, call: RepeatableCall[R]) -> R | None:
        """Return the answer that `call` had; None when it had none.

        Raises InvalidArgument when its id came with another request before.
        """
        return _reply(call, self._requests.get(call.request_id))

    def once(self, tx: Transaction, call: RepeatableCall[R] | None, write: Callable[[], R]) -> R:
        """Return the answer that `call` had, or do `write` and keep the answer that it returns."""
        if call is None:
            return write()
        answered = _reply(call, self._requests.find(tx, call.request_id))
        if answered is not None:
            return answered
        reply = write()
        self._requests.record(tx, call.request_id, call.method, call.digest, call.serialize(reply))
        self._requests.prune(tx, now() - KEPT_MICROSECONDS, PRUNED_AT_ONCE)
        return reply


def _reply(call: RepeatableCall[R], found: RecordedRequest | None) -> R | None:
    if found is None:
        return None
    if (found.method, found.digest) != (call.method, call.digest):
        raise InvalidArgument(Violation("request_id", "came with another request before"))
    return call.parse(found.reply)
