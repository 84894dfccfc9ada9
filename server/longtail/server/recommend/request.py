"""What one validated request asks for."""

from dataclasses import dataclass, field

from longtail.server.catalogue.columns.filter import Condition, Filter
from longtail.server.ranking.dial import Knobs
from longtail.server.ranking.evidence import PoolScale
from longtail.server.ranking.interest import Vector
from longtail.server.ranking.quota import Limits


@dataclass(frozen=True)
class VectorExample:
    """A unit vector (d,), a text's or the caller's, at a position of the request's examples.

    `space`: the vector space that it is of; empty for that of the texts.
    """

    vector: Vector
    weight: float
    position: int
    space: str = ""


@dataclass(frozen=True)
class ItemExample:
    """An item of the catalogue, at a position of the request's examples.

    `space`: the vector space whose vector of it is meant; empty for all that it has.
    """

    item_id: str
    weight: float
    position: int
    space: str = ""


@dataclass(frozen=True)
class Cap:
    """At most `limit` results may share a value of the attribute `field`."""

    field: str
    limit: int


@dataclass(frozen=True)
class OddsRule:
    """Multiplies the odds of relevance of items by `factor`: of those that pass, or of these.

    `position`: in the request's rules.
    """

    name: str
    factor: float
    filter: Filter | None
    item_ids: frozenset[str]
    position: int


@dataclass(frozen=True)
class PinRule:
    """An item to be shown at a place, from 0."""

    name: str
    item_id: str
    place: int


@dataclass(frozen=True)
class Rotation:
    """The share of relevance that an item just shown loses, halved every `half_life` µs."""

    rate: float
    half_life: int


@dataclass(frozen=True)
class Policy:
    """How the list is chosen from the candidates: what may differ between compared lists."""

    strength: float
    limits: Limits = field(default_factory=Limits)
    diversity: float = 0.0
    caps: tuple[Cap, ...] = ()
    exploration_slots: int = 0
    exploration_popularity: float = 5.0
    knobs: Knobs = field(default_factory=Knobs)

    @property
    def gives_to_tail(self) -> bool:
        """Whether an item of the tail has a price."""
        tail = self.strength if self.knobs.tail is None else self.knobs.tail
        return tail > 0


@dataclass(frozen=True)
class FrozenCandidates:
    """What is left of the first page's candidates, in their order, and the scale of their signals.

    `shown`: results on the pages before.
    """

    item_ids: tuple[str, ...]
    scale: PoolScale
    shown: int


@dataclass(frozen=True)
class Request:
    """A validated request. `query` (d,) is a unit vector; None without one, or without encoder.

    `words`: those of the query, each once, that items are to be found by.
    """

    policy: Policy
    user_id: str = ""
    query: Vector | None = None
    words: tuple[str, ...] = ()
    examples: tuple[VectorExample, ...] = ()
    item_examples: tuple[ItemExample, ...] = ()
    excluded: frozenset[str] = frozenset()
    seen_types: frozenset[str] = frozenset()
    allow_seen: bool = False
    allow_copies: bool = False
    page_size: int = 10
    filter: Filter | None = None
    odds_rules: tuple[OddsRule, ...] = ()
    pins: tuple[PinRule, ...] = ()
    rotation: Rotation | None = None
    seed: int = 0
    frozen: FrozenCandidates | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of the filter and of the filters of rules."""
        filters = [self.filter, *(rule.filter for rule in self.odds_rules)]
        return tuple(each for one in filters if one is not None for each in one.conditions)

    @property
    def rule_cost(self) -> int:
        """About how many times the filters of rules compare each candidate."""
        return sum(rule.filter.cost for rule in self.odds_rules if rule.filter is not None)
