"""From a RecordImpressionsRequest to the impressions to be recorded."""

from collections.abc import Sequence
from functools import partial

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.rpc.read.fields import check_batch, check_id, check_number, each, microseconds
from longtail.server.rpc.tokens.recommendation import RecommendedList, TokenCodec
from longtail.server.store.clock import now
from longtail.server.store.records import Impression
from longtail.v1 import interaction_service_pb2 as pb

MAX_IMPRESSIONS = 100
MAX_POSITION = 1000


def impressions(
    request: pb.RecordImpressionsRequest, tokens: TokenCodec
) -> tuple[Sequence[Impression], int]:
    """Return the impressions, and the revision of the list that they are of.

    Raises InvalidArgument naming every one that is wrong.
    A time that is still to come is taken as now: exposure decays from the newest impression on.
    """
    field = "recommendation_token"
    if not request.recommendation_token:
        raise InvalidArgument(Violation(field, "is empty"))
    shown = tokens.decode(request.recommendation_token)
    if shown is None:
        raise InvalidArgument(Violation(field, "is none that this catalogue's servers gave out"))
    check_batch("impressions", request.impressions, MAX_IMPRESSIONS)
    time = now()
    if request.HasField("time"):
        time = min(time, microseconds("time", request.time))
    valid, wrong = each("impressions", request.impressions, partial(_impression, shown, time))
    if wrong:
        raise InvalidArgument(*(v for error in wrong.values() for v in error.violations))
    return valid, shown.revision


def _impression(shown: RecommendedList, time: int, message: pb.Impression) -> Impression:
    rank = shown.rank_of(check_id("item_id", message.item_id))
    if rank is None:
        raise InvalidArgument(Violation("item_id", "is not in the list"))
    check_number("position", message.position, 0, MAX_POSITION)
    return Impression(
        list_id=shown.id,
        item_id=message.item_id,
        position=message.position or rank,
        user_id=shown.user_id,
        time=time,
        relevance_loss=shown.relevance_loss,
        propensity=shown.propensities[rank - 1],
    )
