"""What may propose how much of what vectors may: texts, and spaces beside them."""

from longtail.server.ranking.retrieval import Sources
from longtail.server.recommend.context import RequestContext


def shares_of_interests(context: RequestContext, sources: Sources) -> list[float]:
    """Return what each interest may propose of what vectors may: the texts', then those beside."""
    shares = [interest.share for interest in context.interests]
    if not context.beside:
        return shares
    of_texts, *of_each = shares_of_spaces(context, sources)
    return [
        *(of_texts * share for share in shares),
        *(
            of_space * share
            for of_space, each in zip(of_each, context.beside, strict=True)
            if each.proposes
            for share in each.shares
        ),
    ]


def shares_of_spaces(context: RequestContext, sources: Sources) -> list[float]:
    """Return what texts and each space beside them may propose of what vectors may.

    Texts and the spaces of the caller's that are asked for share what a head leaves alike.
    """
    given = [each.proposes and each.space.declared is not None for each in context.beside]
    parties = sum(given) + bool(context.interests)
    adapted = sources.adapted if len(context.given_spaces) < len(context.beside) else 0.0
    if not parties:
        adapted = 1.0
    alike = (1 - adapted) / max(1, parties)
    return [
        alike if context.interests else 0.0,
        *(
            adapted if each.space.declared is None else alike if proposes else 0.0
            for proposes, each in zip(given, context.beside, strict=True)
        ),
    ]
