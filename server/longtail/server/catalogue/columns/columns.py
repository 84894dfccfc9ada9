"""The items of a catalogue by row, each row one version of an item.

Readers take no lock. A reader captures the revision of a finished state, and after that the count
of rows; it sees the rows that were born by that revision and had not died by it, so of each item
one version or none, whatever is appended meanwhile. Everything of a row is written before the count
shows it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named, below, named_below
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.availability import AvailabilityColumns
from longtail.server.catalogue.columns.exposure import ExposureColumn
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.interactions import InteractionColumn
from longtail.server.catalogue.columns.texts import TextNumbers, Texts
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
    `version` grows with every change. `changed` is the latest revision of which an item came or
    went, told before it can be seen. `era` stands for these rows: other columns have other ones.
    """

    def __init__(self) -> None:
        self.ids = Texts.empty()
        self.titles = Texts.empty()
        # The row of an item's newest version, which may be dead.
        self._newest = TextNumbers.empty(self.ids)
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

    @classmethod
    def of(cls, arrays: Arrays) -> "Columns":
        """Return what `kept` has written, to be changed without a change to the file."""
        columns = cls()
        columns.ids = Texts.of(named_below("ids/", arrays))
        columns.titles = Texts.of(named_below("titles/", arrays))
        columns._newest = TextNumbers.of(columns.ids, named_below("newest/", arrays))
        columns.attributes = AttributeColumns.of(named_below("attributes/", arrays))
        columns._born, columns._died = arrays["born"], arrays["died"]
        columns._previous, columns._prior = arrays["previous"], arrays["prior"]
        columns._interactions = InteractionColumn.of(arrays)
        columns._exposure = ExposureColumn.of(arrays)
        columns._availability = AvailabilityColumns.of(named_below("availability/", arrays))
        columns.count = columns._born.count
        columns.live_count = int(columns.live().sum())
        columns.changed = int(columns.born[: columns.count].max(initial=0))
        return columns

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
        known = self._newest.of_each([change.id for change in changes])
        for position, (change, row) in enumerate(zip(changes, known, strict=True)):
            old = newest.get(change.id, row)
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
        # Who finds a row by its id looks it up at once, so the id comes after the row; readers of
        # an older revision go from there to the version before.
        self.count += len(appended)
        self._newest.update(newest)
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
        self._die(self._newest.get(item_id), revision)
        self.version += 1

    def set_interactions(self, item_id: str, total: DecayedSum) -> None:
        """Set what the interactions of an item add up to, whether it is held or not."""
        self._interactions.set(item_id, self._newest.get(item_id), total)
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
        self._exposure.set(change, self._newest.get(change.item_id))
        self.version += 1

    def set_rulings(self, change: RulingsChange) -> None:
        """Let decisions about an item count, whether it is held or not."""
        row = self._newest.get(change.item_id)
        self._availability.rule(change.item_id, row, change.rulings)
        self.version += 1

    def newest(self, item_ids: Iterable[str]) -> list[int]:
        """Return the row of the newest version of each item, which may be dead, or NO_ROW."""
        return self._newest.of_each(item_ids)

    @property
    def mapped(self) -> int:
        """How many rows are those of a file: the first of them."""
        return self.ids.mapped

    def mapped_rows(self, item_ids: Iterable[str]) -> list[int]:
        """Return the row of each item among those of a file, NO_ROW where it has none there."""
        return self._newest.mapped(item_ids)

    def rows_at(self, item_ids: Iterable[str], revision: int) -> Ints:
        """Return the row of each item as of a revision, NO_ROW where it was not there, (n,)."""
        rows = np.array(self._newest.of_each(item_ids), np.int64)
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

    def are_former(self) -> Mask:
        """Return which rows are versions that were replaced or removed since they came, (count,).

        Those that were dead when they came are none.
        """
        died = self.died[: self.count]
        former: Mask = (died != DIED_NEVER) & (died != DEAD)
        return former

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
        mask: Mask = self.died[rows] > revision
        if self.changed > revision:
            mask &= self.born[rows] <= revision
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

    def kept(self, rows: Ints) -> Named:
        """Yield the arrays of `rows` (n,), current ones or NO_ROW for a dead row, to be written.

        They may be changed meanwhile: it is of their versions as they were written, without what
        was decided, counted or removed.
        """
        yield "born", [self._born.take(rows, DEAD).values]
        yield "died", [np.where(rows >= 0, DIED_NEVER, DEAD)]
        yield "previous", [np.full(len(rows), NO_ROW, np.int32)]
        yield "prior", [self._prior.take(rows, 0).values]
        yield from self._interactions.kept(len(rows))
        yield from self._exposure.kept(len(rows))
        yield from below("availability/", self._availability.kept(rows))
        yield from below("ids/", self.ids.kept(rows))
        yield from below("titles/", self.titles.kept(rows))
        yield from below("newest/", self._newest.kept(rows))
        yield from below("attributes/", self.attributes.kept(rows))

    def take(self, other: "Columns", rows: Ints) -> None:
        """Take over the `rows` (n,) of other columns, each at most once; NO_ROW for a dead row.

        The first of them are there already, as `kept` has them. No older versions are kept for
        readers of older revisions. Interactions and exposure of items whose newest version is not
        taken are remembered. Neither may change meanwhile.
        """
        known = self.count
        # A row that was dead when it was written has no id, and so no sums.
        rows = rows.copy()
        rows[np.flatnonzero(self._born.values == DEAD)] = NO_ROW
        late = rows[known:]
        self._died.take_in(other._died.take(rows[:known], DEAD).values)
        self._died.append(other._died.values[late])
        self._born.append(other._born.values[late])
        self._prior.append(other._prior.values[late])
        self._previous.append(np.full(len(late), NO_ROW, np.int32))
        left = other._with_sums_beside(rows)
        self._interactions.take(other._interactions, rows, left)
        self._exposure.take(other._exposure, rows, left)
        self._availability.take(other._availability, rows)
        self.attributes.append_from(other.attributes, late)
        numbers = late.tolist()
        ids = other.ids.of_each(numbers)
        self.ids.append(ids)
        self.titles.append(map(other.titles.__getitem__, numbers))
        self._newest.update(dict(zip(ids, range(known, len(rows)), strict=True)))
        self.changed = other.changed
        self.count = len(rows)
        self.live_count = int(self.live().sum())

    def _with_sums_beside(self, rows: Ints) -> dict[str, int]:
        """Return by id the newest rows, but `rows` (n,), that have interactions or were shown."""
        beside = np.ones(self.count, np.bool_)
        beside[rows[rows >= 0]] = False
        others = np.flatnonzero(beside)
        found = np.union1d(self._interactions.with_sum(others), self._exposure.with_sum(others))
        ids = map(self.ids.__getitem__, found.tolist())
        of_each = dict(zip(ids, found.tolist(), strict=True))
        newest = self._newest.of_each(of_each)
        return dict(
            each for each, row in zip(of_each.items(), newest, strict=True) if each[1] == row
        )

    def _write(self, changes: Sequence[ItemChange], previous: Sequence[int]) -> None:
        ids = [change.id for change in changes]
        self.ids.append(ids)
        self.titles.append([change.title for change in changes])
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
