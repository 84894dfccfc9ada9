"""What one request may find, as a mask of rows or for the few rows that a search came upon."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.columns.filter import Condition, Filter
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.columns.matching import matching_among
from longtail.server.catalogue.columns.missing import MissingAttribute, missing_attributes
from longtail.server.catalogue.index.graph import Rows
from longtail.server.catalogue.index.vector_index import Mask


@dataclass(frozen=True)
class Scope:
    """What one request may find: current at its revision, active, available, let through."""

    columns: Columns
    masks: MaskCache
    revision: int
    rows: int
    now: int
    filter: Filter | None

    @property
    def share(self) -> float:
        """About the share of the rows that may be found, above 0."""
        found = self.columns.live_count if self.filter is None else int(self.mask().sum())
        return min(1.0, max(1, found) / max(1, self.rows))

    def mask(self) -> Mask:
        """Return for each row (rows,) whether it may be found."""
        return self._mask

    def passes(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether it may be found."""
        # A search may come upon rows that were written since the request began.
        found: Mask = rows < self.rows
        if not found.all():
            found[found] = self.passes(rows[found])
        elif self.filter is not None:
            found = self._mask[rows]
        else:
            found = self.columns.are_offered(rows, self.revision, self.now)
        return found

    def matches(self, wanted: Filter, rows: Rows) -> Mask:
        """Return which of `rows` (n,), all there at the request's revision, pass a filter.

        Raises FilterTypeError as `matching` does.
        """
        return matching_among(self.columns.attributes, wanted, rows)

    def missing(self, conditions: Iterable[Condition]) -> list[MissingAttribute]:
        """Return the attributes of `conditions` that no item has at the request's revision."""
        return missing_attributes(
            self.columns.attributes,
            conditions,
            lambda rows: self.columns.are_visible(rows, self.revision),
        )

    @cached_property
    def _mask(self) -> Mask:
        offered = self.columns.offered(self.revision, self.rows, self.now)
        if self.filter is not None:
            offered &= self.masks.matching(self.filter, self.rows)
        return offered
