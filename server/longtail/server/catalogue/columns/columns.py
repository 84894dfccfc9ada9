"""The items of a catalogue by row, each row one version of an item.

Readers take no lock. A reader captures the revision of a finished state, and after that the count
of rows; it sees the rows that were born by that revision and had not died by it, so of each item
one version or none, whatever is appended meanwhile. Everything of a row is written before the count
shows it.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.availability import AvailabilityColumns
from longtail.server.catalogue.columns.exposure import ExposureColumn
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.interactions import InteractionColumn
from longtail.server.store.decay import DecayedSum
from longtail.server.store.records import (
    ExposureChange,
    ItemChange,
    PopularityDecay,
    Ruling,
    RulingsChange,
    State,
)
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DIED_NEVER = np.iinfo(np.int64).max
# Before every revision there is.
DEAD = -1
NO_ROW = -1


class Columns:
    """What is known of each row, but its vector. One thread changes it.

    `ids[row]` and `titles[row]` are those of an item, empty for rows that were dead when they were
    taken over.
    `row_of` leads from an id to the row of its newest version, which may be dead.
    `version` grows with every change. `changed` is the latest revision of which an item came or
    went, told before it can be seen. `era` stands for these rows: other columns have other ones.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.row_of: dict[str, int] = {}
        self.attributes = AttributeColumns()
        self.count = 0
        self.live_count = 0
        self.version = 0
        self.changed = 0
        self.era = object()
        self._born = GrowingArray.empty(np.int64)
        self._died = GrowingArray.empty(np.int64)
        # The row of the item's version before this one.
        self._previous = GrowingArray.empty(np.int32)
        self._prior = GrowingArray.empty(np.float64)
        self._interactions = InteractionColumn()
        self._exposure = ExposureColumn()
        self._availability = AvailabilityColumns()

    @property
    def born(self) -> Ints:
        """The revision of each row, (count,) or more."""
        return self._born.values

    @property
    def died(self) -> Ints:
        """The revision at which each row was replaced or removed, DIED_NEVER while current."""
        return self._died.values

    def append(self, changes: Sequence[ItemChange]) -> Ints:
        """Take over changes in the order of their revisions; return the row of each, (n,).

        It is NO_ROW for removals and for what was replaced already. A change that is held already
        changes nothing and gets the row that it has, below the former `count`.
        """
        self.changed = max(self.changed, *(change.revision for change in changes), 0)
        rows = np.full(len(changes), NO_ROW)
        appended: list[ItemChange] = []
        previous: list[int] = []
        newest: dict[str, int] = {}
        deaths: list[tuple[int, int]] = []
        for position, change in enumerate(changes):
            old = newest.get(change.id, self.row_of.get(change.id, NO_ROW))
            if change.removed:
                deaths.append((old, change.revision))
                continue
            held = old - self.count
            born = NO_ROW if old < 0 else appended[held].revision if held >= 0 else self.born[old]
            if change.revision <= born:
                rows[position] = old if change.revision == born else NO_ROW
                continue
            deaths.append((old, change.revision))
            rows[position] = newest[change.id] = self.count + len(appended)
            appended.append(change)
            previous.append(old)
        self._write(appended, previous)
        # Readers of `row_of` look up the row at once, so it comes after the row; those of an
        # older revision go from there to the version before.
        self.count += len(appended)
        self.row_of.update(newest)
        self.live_count += len(appended)
        for row, revision in deaths:
            self._die(row, revision)
        if self.attributes.is_crowded:
            self.attributes.forget(self.died[: self.count] == DIED_NEVER)
        self.version += 1
        return rows

    def kill(self, item_id: str, revision: int) -> None:
        """Let the current version of an item die at a revision; nothing when there is none."""
        self.changed = max(self.changed, revision)
        self._die(self.row_of.get(item_id, NO_ROW), revision)
        self.version += 1

    def set_interactions(self, item_id: str, total: DecayedSum) -> None:
        """Set what the interactions of an item add up to, whether it is held or not."""
        self._interactions.set(item_id, self.row_of.get(item_id), total)
        self.version += 1

    def set_decay(self, decay: PopularityDecay) -> None:
        """Set how interactions decay, and as of when they are meant."""
        if decay != self._interactions.decay:
            self._interactions.decay = decay
            self.version += 1

    def set_exposure(self, change: ExposureChange) -> None:
        """Set how much an item was shown of late, whether it is held or not.

        With the first change of another half-life, nothing counts as shown of what came before.
        """
        if change.half_life != self._exposure.half_life:
            self._exposure = self._exposure.emptied(change.half_life)
        self._exposure.set(change, self.row_of.get(change.item_id))
        self.version += 1

    def set_rulings(self, change: RulingsChange) -> None:
        """Let decisions about an item count, whether it is held or not."""
        row = self.row_of.get(change.item_id)
        self._availability.rule(change.item_id, row, change.rulings)
        self.version += 1

    def rows_at(self, item_ids: Iterable[str], revision: int) -> Ints:
        """Return the row of each item as of a revision, NO_ROW where it was not there, (n,)."""
        rows = np.fromiter(map(self.row_of.get, item_ids, repeat(NO_ROW)), np.int64)
        there = rows >= 0
        if there.any():
            for at in np.flatnonzero(there & (self.born[rows] > revision)).tolist():
                row, born, previous = int(rows[at]), self.born, self._previous.values
                while row >= 0 and born[row] > revision:
                    row = int(previous[row])
                rows[at] = row
            rows[(rows >= 0) & (self.died[rows] <= revision)] = NO_ROW
        return rows

    def rows_of(self, revisions: Ints) -> Ints:
        """Return the row of the version of each of `revisions` (n,), NO_ROW where there is none."""
        born = self.born[: self.count]
        order = np.argsort(born, kind="stable")
        at = np.searchsorted(born, revisions, sorter=order)
        rows = np.full(len(revisions), NO_ROW)
        inside = at < len(born)
        rows[inside] = order[at[inside]]
        rows[inside] = np.where(born[rows[inside]] == revisions[inside], rows[inside], NO_ROW)
        return rows

    def mass(self, rows: Ints) -> Floats:
        """Return the popularity mass of `rows` (n,): the prior and the decayed interactions."""
        mass: Floats = self._prior.values[rows] + self._interactions.masses(rows)
        return mass

    def prior(self, rows: Ints) -> Floats:
        """Return the popularity of `rows` (n,) that is known from elsewhere, (n,)."""
        prior: Floats = self._prior.values[rows]
        return prior

    def penalty(self, rows: Ints, now_us: int) -> Floats:
        """Return the share of its relevance that the item of each of `rows` (n,) loses, (n,).

        It is that of `now_us`, microseconds since the epoch.
        """
        return self._availability.penalty(rows, now_us)

    def exposure(self, rows: Ints) -> Floats:
        """Return how much `rows` (n,) were shown of late, (n,): 1 is the average of all items.

        It is 0 where no impression is recorded. The average of more than AVERAGED_AT_ONCE rows may
        be some hundredths of a second old.
        """
        return self._exposure.relative(rows, self)

    def mean_exposure(self) -> float:
        """Return how many impressions an item has on average, decayed until the newest of all.

        It is 0 where no impression is recorded, and as old as the average of `exposure` may be.
        """
        return self._exposure.mean(self)

    def live(self) -> Mask:
        """Return which rows hold the newest version of an item that is there, (count,)."""
        live: Mask = self.died[: self.count] == DIED_NEVER
        return live

    def visible(self, revision: int, count: int) -> Mask:
        """Return which of the first `count` rows are current at a revision, (count,)."""
        mask: Mask = (self.born[:count] <= revision) & (self.died[:count] > revision)
        return mask

    def offered(self, revision: int, count: int, now_us: int) -> Mask:
        """Return which of the first `count` rows may be recommended, (count,).

        They are visible at the revision, active, and available at `now_us`, microseconds since
        the epoch.
        """
        mask = self.visible(revision, count)
        mask &= self._availability.open(slice(count), now_us)
        return mask

    def are_visible(self, rows: Ints, revision: int) -> Mask:
        """Return which of `rows` (n,) are current at a revision, (n,)."""
        mask: Mask = (self.born[rows] <= revision) & (self.died[rows] > revision)
        return mask

    def are_offered(self, rows: Ints, revision: int, now_us: int) -> Mask:
        """Return which of `rows` (n,) may be recommended, (n,); see `offered`."""
        mask = self.are_visible(rows, revision)
        mask &= self._availability.open(rows, now_us)
        return mask

    def state_of(self, row: int, now_us: int) -> State:
        """Return the state that counts for the item in a row at a moment, microseconds."""
        return self._availability.state_of(self.ids[row], row, now_us)

    def ruling_of(self, item_id: str, now_us: int) -> Ruling | None:
        """Return the decision that counts for an item at a moment; None where there is none."""
        return self._availability.ruling(item_id, now_us)

    def is_available(self, row: int, now_us: int) -> bool:
        """Return whether the item in a row is available at a moment, microseconds."""
        return self._availability.is_available(row, now_us)

    def take(self, rows: Ints) -> "Columns":
        """Return new columns (n,) with the content of `rows` (n,), each at most once.

        NO_ROW stands for a dead row. No older versions are kept for readers of older revisions.
        Interactions and exposure of items whose newest version is not taken are remembered. Must
        not run beside a change.
        """
        taken = Columns()
        kept = np.flatnonzero(rows >= 0)
        sources = rows[kept]

        taken._born = self._born.take(rows, DEAD)
        taken._died = self._died.take(rows, DEAD)
        taken._previous = GrowingArray(np.full(len(rows), NO_ROW, np.int32))
        taken._prior = self._prior.take(rows, 0)
        taken._availability = self._availability.take(rows)
        taken.attributes = self.attributes.take(rows)
        # NO_ROW is the last one.
        ids = np.array([*self.ids, ""], object)[rows]
        taken.ids = ids.tolist()
        taken.titles = np.array([*self.titles, ""], object)[rows].tolist()

        newest = np.zeros(self.count, np.bool_)
        newest[np.fromiter(self.row_of.values(), np.int64, len(self.row_of))] = True
        current = kept[newest[sources]]
        taken.row_of = dict(zip(ids[current].tolist(), current.tolist(), strict=True))
        newest[sources] = False
        left = {self.ids[row]: row for row in np.flatnonzero(newest).tolist()}
        taken._interactions = self._interactions.take(rows, left)
        taken._exposure = self._exposure.take(rows, left)
        taken.changed = self.changed
        taken.count = len(rows)
        taken.live_count = int((taken.died == DIED_NEVER).sum())
        return taken

    def _write(self, changes: Sequence[ItemChange], previous: Sequence[int]) -> None:
        ids = [change.id for change in changes]
        self.ids.extend(ids)
        self.titles.extend([change.title for change in changes])
        self._born.append([change.revision for change in changes])
        self._died.append([DIED_NEVER] * len(changes))
        self._previous.append(previous)
        self._prior.append([change.prior for change in changes])
        self._interactions.append(ids, previous)
        self._exposure.append(ids, previous)
        self._availability.append(changes)
        self.attributes.append([change.attributes for change in changes])

    def _die(self, row: int, revision: int) -> None:
        died = self._died.values
        if row >= 0 and died[row] == DIED_NEVER:
            died[row] = revision
            self.live_count -= 1
