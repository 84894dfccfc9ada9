"""What a catalogue and a load take: machines, memory and money, for each way to keep the vectors.

Demand on cores, processes, memory, network and the shared engines, each divided by what one machine
of a fleet gives, at a share of use that leaves room for peaks. Arithmetic on measured constants: it
knows no queues, and what lies beyond the sizes that were measured is extrapolated, as told.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

CONSTANTS = Path(__file__).with_name("constants.toml")
GIB = 2.0**30
MOST_INSTALLATIONS = 100
# Bytes of a number of a vector.
FLOAT = 4
# Rows that came since the last merge, at most, as a share of the graph's.
DELTA_SHARE = 1 / 32


@dataclass(frozen=True)
class Constants:
    """What was measured: milliseconds of one core, bytes, calls. The file says by which command."""

    server_ms: float
    search_ms: float
    search_items: float
    encode_query_ms: float
    encode_texts_per_second: float
    follow_ms: float
    graph_factor: float
    item_bytes: float
    mapped_bytes: float
    process_bytes: float
    worker_bytes: float
    answer_bytes: float
    embed_bytes: float
    found_bytes: float
    store_connections: float
    pgvector_bytes: float
    pgvector_ms: float
    pgvector_items: float
    milvus_factor: float
    milvus_ms: float
    milvus_items: float
    milvus_segment_items: float

    @classmethod
    def read(cls, path: Path = CONSTANTS) -> "Constants":
        """Read the values of the file; raises TypeError when it lacks one."""
        with path.open("rb") as file:
            return cls(**{name: float(each["value"]) for name, each in tomllib.load(file).items()})


@dataclass(frozen=True)
class Demand:
    """What is asked: `rate` requests a second, `new_texts` of which must be encoded, and `writes`.

    Of a catalogue of `items` with vectors of `dimension` and `candidates` for each request.
    """

    items: float
    rate: float
    dimension: int = 384
    candidates: int = 200
    new_texts: float = 0.3
    writes: float = 100.0


@dataclass(frozen=True)
class Fleet:
    """The machines that can be had, how far they are used, and what they cost by the hour.

    `large_` is the largest for an engine of one machine, which takes so many `connections`;
    `spare` machines of each kind may be away. The prices are of the order of
    what clouds list on demand for general purposes; yours go here.
    """

    cores: float = 32
    memory: float = 256.0
    large_cores: float = 128
    large_memory: float = 2048.0
    gbit: float = 10.0
    connections: float = 5000
    used: float = 0.6
    core_hour: float = 0.04
    gib_hour: float = 0.005
    spare: int = 1


@dataclass(frozen=True)
class Group:
    """Machines of one kind: the cores and GiB that each has to have, and processes on each."""

    machines: int
    cores: float
    memory: float
    processes: int = 1


@dataclass(frozen=True)
class Plan:
    """A way to serve the demand: machines by what runs on them, and what a request takes.

    `strain` is the share of what can be had at most that each limit takes, the first limit to break
    first; over 1 there is no such machine, and the plan cannot be.
    """

    name: str
    groups: Mapping[str, Group]
    strain: Mapping[str, float]
    core_ms: float
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it can be."""
        return max(self.strain.values()) <= 1

    @property
    def breaks_first(self) -> str:
        """The limit that is nearest, or passed by most."""
        return max(self.strain, key=lambda limit: self.strain[limit])

    def cost(self, fleet: Fleet) -> float:
        """Return what it costs by the hour."""
        return sum(
            group.machines * (group.cores * fleet.core_hour + group.memory * fleet.gib_hour)
            for group in self.groups.values()
        )


def scaled(milliseconds: float, measured: float, items: float) -> float:
    """Return the time of a search of a graph of other size: it grows with the logarithm."""
    return milliseconds * max(1.0, math.log(max(items, 2)) / math.log(measured))


def installations(demand: Demand, fleet: Fleet, known: Constants, way: int) -> int:
    """Return into how many stores, each of all items, the requests are split for a plan to hold.

    0 where more of them do not help: what breaks does not come of the rate.
    """
    for count in range(1, MOST_INSTALLATIONS + 1):
        if plans(replace(demand, rate=demand.rate / count), fleet, known)[way].holds:
            return count
    return 0


def plans(demand: Demand, fleet: Fleet, known: Constants) -> list[Plan]:
    """Return a plan for each way to keep the vectors, those that cannot be among them."""
    return [
        _views(demand, fleet, known),
        _pgvector(demand, fleet, known),
        _milvus(demand, fleet, known),
    ]


def encoding_hours(demand: Demand, known: Constants) -> float:
    """Return the hours of one core that a change of encoder takes."""
    return demand.items / known.encode_texts_per_second / 3600


def _views(demand: Demand, fleet: Fleet, known: Constants) -> Plan:
    """Each process with the graph in its memory; files of vectors and columns are a machine's."""
    search = scaled(known.search_ms, known.search_items, demand.items)
    core_ms = known.server_ms + search
    vector = FLOAT * demand.dimension
    mapped = demand.items * (vector + known.mapped_bytes) / GIB
    own = demand.items * known.graph_factor * vector / GIB + _private(demand, known)
    # A merge has the graph twice, in the one process that builds.
    merging = demand.items * known.graph_factor * vector / GIB
    places = int((fleet.memory - mapped - merging) // own)
    servers = _servers(demand, fleet, known, core_ms, max(1, places))
    memory = mapped + merging + servers.processes * own
    store, strain = _store(demand, fleet, known, servers, 0.0, 8.0)
    # Every process takes in every write.
    following = demand.writes * known.follow_ms / 1000
    return Plan(
        "PostgreSQL + hnswlib views",
        {
            "servers": Group(servers.machines, servers.cores, memory, servers.processes),
            "workers": _workers(demand, fleet, known),
            "PostgreSQL": store,
        },
        strain
        | {
            "memory of a server machine": (mapped + merging + own) / fleet.memory,
            "taking in writes, of a process's core": following / fleet.used,
        },
        core_ms,
    )


def _pgvector(demand: Demand, fleet: Fleet, known: Constants) -> Plan:
    """Graphs and records on one machine of PostgreSQL."""
    search = scaled(known.pgvector_ms, known.pgvector_items, demand.items)
    servers, strain = _shared_servers(demand, fleet, known)
    memory = 8 + demand.items * known.pgvector_bytes * demand.dimension / 384 / GIB
    store, of_store = _store(demand, fleet, known, servers, search, memory)
    return Plan(
        "PostgreSQL + pgvector",
        {"servers": servers, "workers": _workers(demand, fleet, known), "PostgreSQL": store},
        strain | of_store,
        known.server_ms + search,
    )


def _milvus(demand: Demand, fleet: Fleet, known: Constants) -> Plan:
    """Graphs spread over query nodes; every segment is searched for every request."""
    segments = max(1.0, demand.items / known.milvus_segment_items)
    search = segments * scaled(
        known.milvus_ms, known.milvus_items, min(demand.items, known.milvus_segment_items)
    )
    servers, strain = _shared_servers(demand, fleet, known)
    store, of_store = _store(demand, fleet, known, servers, 0.0, 8.0)
    cores = demand.rate * search / 1000 / fleet.used
    memory = demand.items * known.milvus_factor * FLOAT * demand.dimension / GIB
    nodes = math.ceil(max(cores / fleet.cores, memory / (fleet.memory * fleet.used)))
    each = max(8.0, memory / nodes / fleet.used)
    return Plan(
        "PostgreSQL + Milvus",
        {
            "servers": servers,
            "workers": _workers(demand, fleet, known),
            "PostgreSQL": store,
            "Milvus": Group(nodes + fleet.spare, fleet.cores, each),
        },
        strain | of_store,
        known.server_ms + search,
        f"{segments:,.0f} segments",
    )


def _servers(demand: Demand, fleet: Fleet, known: Constants, core_ms: float, places: int) -> Group:
    """Return machines for processes, of which a machine has `places` in its memory."""
    # A process answers on one thread: each has one core.
    processes = math.ceil(demand.rate * core_ms / 1000 / fleet.used)
    network = demand.rate * (known.answer_bytes + demand.new_texts * known.embed_bytes) * 8 / 1e9
    machines = max(
        math.ceil(processes / min(places, fleet.cores)),
        math.ceil(network / (fleet.gbit * fleet.used)),
    )
    each = math.ceil(processes / machines)
    # One more, for the index that is built beside.
    return Group(machines + fleet.spare, min(fleet.cores, each + 1), fleet.memory, each)


def _shared_servers(
    demand: Demand, fleet: Fleet, known: Constants
) -> tuple[Group, dict[str, float]]:
    """Return servers without graphs, whose columns are files of each machine; and its limit.

    The file of vectors, of which candidates are read, is the system's to keep or to drop.
    """
    mapped = demand.items * known.mapped_bytes / GIB
    own = _private(demand, known)
    places = int((fleet.memory - mapped) // own)
    servers = _servers(demand, fleet, known, known.server_ms, max(1, places))
    memory = mapped + servers.processes * own
    strain = (mapped + own) / fleet.memory
    return replace(servers, memory=memory), {"memory of a server machine": strain}


def _private(demand: Demand, known: Constants) -> float:
    """Return the GiB of a process beside its graph, with the latest vectors before a merge."""
    late = DELTA_SHARE * FLOAT * demand.dimension
    return (demand.items * (known.item_bytes + late) + known.process_bytes) / GIB


def _workers(demand: Demand, fleet: Fleet, known: Constants) -> Group:
    cores = demand.rate * demand.new_texts * known.encode_query_ms / 1000 / fleet.used
    machines = max(1, math.ceil(cores / fleet.cores))
    each = min(fleet.cores, max(2.0, math.ceil(cores / machines)))
    return Group(machines + fleet.spare, each, 2 * known.worker_bytes / GIB)


def _store(
    demand: Demand,
    fleet: Fleet,
    known: Constants,
    servers: Group,
    search_ms: float,
    memory: float,
) -> tuple[Group, dict[str, float]]:
    """Return the one PostgreSQL, which searches so long for a request, a standby, and limits."""
    cores = max(2.0, math.ceil(demand.rate * search_ms / 1000 / fleet.used))
    found = demand.rate * demand.candidates * known.found_bytes if search_ms else 0.0
    connections = servers.machines * servers.processes * known.store_connections
    return Group(1 + fleet.spare, cores, memory), {
        "cores of PostgreSQL": cores / fleet.large_cores,
        "network of PostgreSQL": found * 8 / 1e9 / (fleet.gbit * fleet.used),
        "memory of PostgreSQL": memory / fleet.large_memory,
        "connections of PostgreSQL": connections / fleet.connections,
    }
