"""What the wishes of the business make of the odds of relevance."""

from collections.abc import Sequence

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.columns.filter import FilterTypeError
from longtail.server.catalogue.columns.postings import Mask
from longtail.server.catalogue.scope import Scope
from longtail.server.recommend.pool import Floats, Ints
from longtail.server.recommend.request import OddsRule


def rule_factors(rules: Sequence[OddsRule], scope: Scope, ids: Sequence[str], rows: Ints) -> Floats:
    """Return what `rules` multiply the odds of items by, (n,); `ids` and `rows` (n,) of the items.

    Raises InvalidArgument when the filter of a rule does not fit the catalogue.
    """
    factors = np.ones(len(rows))
    for rule in rules:
        factors[_matching(rule, scope, ids, rows)] *= rule.factor
    return factors


def _matching(rule: OddsRule, scope: Scope, ids: Sequence[str], rows: Ints) -> Mask:
    if rule.filter is None:
        listed = (item_id in rule.item_ids for item_id in ids)
        return np.fromiter(listed, np.bool_, len(ids))
    try:
        passes: Mask = scope.masks.matching(rule.filter, scope.rows)[rows]
    except FilterTypeError as error:
        field = f"rules[{rule.position}].filter.{error.path}"
        raise InvalidArgument(Violation(field, error.message)) from None
    return passes
