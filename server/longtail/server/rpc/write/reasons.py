"""Why an item is recommended: what put it into the list, and what makes it relevant."""

import numpy as np
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.answer import Placed
from longtail.server.recommend.pool import Floats
from longtail.v1 import recommendation_service_pb2 as pb

# In the order of interest's Part.
PART_REASONS = (pb.REASON_QUERY, pb.REASON_EXAMPLES, pb.REASON_HISTORY)
OF_BEHAVIOUR = np.array(["behaviour" in feature for feature in FEATURES])
OF_TEXT = np.array(["text" in feature for feature in FEATURES]) & ~OF_BEHAVIOUR
# Multiplied with log odds, their sums by text and by behaviour.
BY_SOURCE = np.stack([OF_TEXT, OF_BEHAVIOUR]).astype(np.float64)


def placing_reason(listing: Listing, place: int, bucket: Bucket) -> pb.Reason | None:
    """Return what put the item at `place`, from 0, into the list; None: its relevance did."""
    if listing.pinned[place]:
        return pb.REASON_PINNED
    if listing.explored[place]:
        return pb.REASON_EXPLORATION
    baseline = listing.baseline[listing.chosen[place]]
    # What the caps left out would not have had a place without the tail's price either.
    ahead = baseline - 1 - (listing.capped & (listing.baseline < baseline)).sum()
    if bucket is Bucket.TAIL and ahead >= len(listing.chosen):
        return pb.REASON_LONG_TAIL
    return None


def relevance_reasons(placed: Placed, context: Context, model: RelevanceModel) -> list[pb.Reason]:
    """Return what makes an item relevant, whatever list it is in, the weightiest first.

    All weights are log odds: those of the text are shared by the parts of the interest that draw
    the item near, as the cosine is.
    """
    if context is Context.NOTHING:
        drawn = [pb.REASON_POPULAR]
    else:
        drawn = _drawn(placed, model.weights * placed.features)
    return [pb.REASON_BOOSTED, *drawn] if placed.rule_factor > 1 else drawn


def _drawn(placed: Placed, log_odds: Floats) -> list[pb.Reason]:
    of_text, of_behaviour = (BY_SOURCE @ log_odds).tolist()
    cosines = zip(PART_REASONS, placed.parts.tolist(), strict=True)
    near = [(cosine, reason) for reason, cosine in cosines if cosine > 0]
    whole = sum(cosine for cosine, _ in near)
    # With the cosine beside the weight, which is zero for all where the text speaks against it.
    weighed = [(max(0.0, of_text) * cosine / whole, cosine, reason) for cosine, reason in near]
    # Where behaviour counts, what nobody has met with borrows from its text; and what behaviour
    # found, though less strongly than others, may have nothing else.
    if placed.behaviour > 0 and (of_behaviour > 0 or not near):
        weighed.append((of_behaviour, 0.0, pb.REASON_BEHAVIOUR))
    return [reason for *_, reason in sorted(weighed, key=lambda each: each[:2], reverse=True)]
