"""What becomes of a good caller, and of the memory of both processes, beside each attack.

The good caller asks for ten lists a second, half of them for persons and half for texts that nobody
asked for before, over a new connection now and then, and waits half a second for each. Attackers
have a key of their own, which may do what the attack needs.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from longtail.runtime.identity import Role
from longtail.runtime.keys import Key, hashed, new_secret, write_keys

from bench.attacks import calls, connections
from bench.attacks.target import Outcome, Target
from bench.figures import Measured, Sections, single
from bench.load import checked, closed_loop, open_loop
from bench.processes import Service
from bench.request.context import RECOMMEND, Context, of_people, of_texts
from bench.state import copied
from loadtest.open_loop import Offered, Schedule

__all__ = ["SECTIONS", "Context"]

SECTIONS: Sections[Context] = Sections()

Attack = Callable[[Target, float], Outcome]
_ATTACKS: dict[str, tuple[str, Attack]] = {
    "none": ("no attack, which tells what the machine is like", calls.none),
    "silent": ("260 imports that send nothing", calls.silent_imports),
    "unread": ("260 exports that are not read", calls.unread_exports),
    "slow": ("200 of the longest answers, not read", calls.slow_readers),
    "idle": ("2,000 calls whose request does not come", calls.idle_calls),
    "watch": ("1,000 watches of health, without a key", calls.health_watches),
    "bomb": ("8,000,000 empty requests in 15.6 kB, one call after another", calls.bomb),
    "bombs": ("8,000,000 empty requests in 15.6 kB, 8 calls at once", calls.bombs),
    "texts": ("8,000,000 empty texts for the worker, 8 calls at once", calls.worker_bombs),
    "operands": ("20 rules of 32 conditions of 1,000 operands, 8 at once", calls.many_operands),
    "allowed": ("rules with all operands that are allowed, 8 at once", calls.operands_allowed),
    "hot": ("a caller of three times capacity", calls.hot_caller),
    "stranger": ("32 callers without a key, as fast as they are refused", calls.stranger),
    "names": ("360,000 names of attributes, again and again", calls.attribute_names),
    "snapshots": ("snapshots made and deleted in a loop", calls.snapshots),
    "metrics": ("500 half-sent requests for metrics", connections.half_sent_metrics),
    "mute": ("1,000 connections that say nothing", connections.silent_connections),
    "half": ("1,000 connections that begin and go no further", connections.half_greetings),
    "many": ("3,000 connections that ask for nothing", connections.many_connections),
}

_BARS = ("good calls answered in time >= 95 %", "memory kept <= 50 MB")
_RATE, _PATIENCE_SECONDS, _CONNECTION_SECONDS = 10.0, 0.5, 10.0
_WARMUP_SECONDS, _AFTER_SECONDS = 5.0, 10.0
_USERS = tuple(str(number) for number in range(1, 944))


def _measure(attack: Attack, bench: Context) -> Iterator[Measured]:
    seconds: float = bench.options.seconds
    with copied(bench.demo_home, "home-attacked") as home:
        secrets = {"good": new_secret(), "attacker": new_secret()}
        roles = {"good": Role.READ, "attacker": Role.ADMIN}
        keys = home / "keys.json"
        write_keys(
            keys, [Key(name, roles[name], hashed(each), "") for name, each in secrets.items()]
        )
        with bench.serving(home, LONGTAIL_SERVER_KEYS=str(keys)) as running:
            # Every person once, so that what is made once of each is made.
            load = (running.address, RECOMMEND, of_people(_USERS, len(_USERS)), 8)
            closed = (*load, None, False, secrets["attacker"])
            capacity = checked(bench.generator.run(closed_loop, *closed)).rate
            target = Target(
                running.address,
                bench.worker.address,
                running.metrics_address,
                secrets["attacker"],
                capacity,
                _USERS,
            )
            _good(bench, running, secrets["good"], _WARMUP_SECONDS)
            processes = {"server": _Watched(running, home), "worker": _Watched(bench.worker, None)}
            attacking = bench.other.start(attack, target, seconds)
            offered = _good(bench, running, secrets["good"], seconds)
            during = {name: each.threads for name, each in processes.items()}
            outcome = attacking.result()
            time.sleep(_AFTER_SECONDS)
            told = [each.told(name, during[name]) for name, each in processes.items()]
            kept = max(each.kept_mb for each in processes.values())
    failures = Counter(each.error for each in offered if each.error)
    slowest = max(each.ended - each.due for each in offered)
    good = len(offered) - failures.total()
    note = f"slowest {1e3 * slowest:.0f} ms, failed {_listed(failures)}; attack {_listed(outcome)}"
    yield single(100 * good / len(offered), len(offered), note)
    yield single(kept, len(processes), "; ".join(told))


def _good(bench: Context, running: Service, secret: str, seconds: float) -> list[Offered[None]]:
    """Return what becomes of the good caller's calls."""
    offered: list[Offered[None]] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0.5:
        number = round(_RATE * _CONNECTION_SECONDS)
        mixed = zip(
            of_people(_USERS[len(offered) % len(_USERS) :], number),
            of_texts([f"robots in space {time.time_ns()} {at}" for at in range(number)], number),
            strict=True,
        )
        offered += bench.generator.run(
            open_loop,
            running.address,
            RECOMMEND,
            list(chain.from_iterable(mixed)),
            Schedule(_RATE, min(left, _CONNECTION_SECONDS)),
            _PATIENCE_SECONDS,
            secret,
        )
    return offered


@dataclass
class _Watched:
    """What a process takes, against what it took at first; `home` is where it writes."""

    service: Service
    home: Path | None

    def __post_init__(self) -> None:
        # From now on the kernel counts the most memory anew.
        Path(f"/proc/{self.service.pid}/clear_refs").write_text("5")
        self._before, self._disk = self._status("VmRSS"), self._disk_mb()

    @property
    def kept_mb(self) -> float:
        """The memory that it has now beyond what it had."""
        return (self._status("VmRSS") - self._before) / 1024

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def told(self, name: str, threads: int) -> str:
        """Return in words what it takes, and what it took in between."""
        most = (self._status("VmHWM") - self._before) / 1024
        disk = f", disk {self._disk_mb() - self._disk:+.0f} MB" if self.home else ""
        return f"{name} {self.kept_mb:+.0f} MB, at most {most:+.0f}, {threads} threads{disk}"

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.service.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])

    def _disk_mb(self) -> float:
        if self.home is None:
            return 0.0
        return sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file()) / 1e6


def _listed(outcome: Outcome) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in outcome.most_common()) or "none"


def _add(name: str, title: str, attack: Attack) -> None:
    @SECTIONS.add(name, title, *_BARS)
    def _section(bench: Context) -> Iterator[Measured]:
        return _measure(attack, bench)


for _name, (_title, _attack) in _ATTACKS.items():
    _add(_name, _title, _attack)
