"""What the relevance of an item is made of."""

from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.answer import Placed
from longtail.server.recommend.pool import Pool
from longtail.v1 import recommendation_service_pb2 as pb


def placed_at(pool: Pool, position: int) -> Placed:
    """Return the candidate at `position` as any other item is placed on the pool's scale."""
    return Placed(
        parts=pool.parts[position],
        features=pool.features[position],
        behaviour=float(pool.evidence.behaviour[position]),
        estimate=float(pool.estimate[position]),
        rule_factor=float(pool.rule_factor[position]),
        penalty=float(pool.penalty[position]),
        rotation=float(pool.rotation[position]),
        relevance=float(pool.relevance[position]),
        mass=float(pool.mass[position]),
    )


def breakdown_of(placed: Placed, model: RelevanceModel, percentile: float) -> pb.Breakdown:
    """Return what the relevance of an item is made of: all of it that needs no list.

    `percentile`: of its popularity.
    """
    query, examples, history = placed.parts.tolist()
    return pb.Breakdown(
        similarity=query + examples + history,
        from_query=query,
        from_examples=examples,
        from_history=history,
        behaviour=placed.behaviour,
        terms=[
            pb.RelevanceTerm(feature=feature, log_odds=log_odds)
            for feature, log_odds in model.terms(placed.features).items()
        ],
        estimate=placed.estimate,
        rule_factor=placed.rule_factor,
        penalty=placed.penalty,
        rotation=placed.rotation,
        relevance=placed.relevance,
        popularity=placed.mass,
        popularity_percentile=percentile,
    )
