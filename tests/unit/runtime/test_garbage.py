"""What the collector of cycles passes over: in processes of their own, since it holds for one."""

import subprocess
import sys

COLLECTED = """
import gc
import math

from longtail.runtime import garbage

LONG, SHORT = -1.0, math.inf

garbage.keep_collections_short()
garbage.LONG_LOOK_SECONDS = SHORT
catalogue = [[] for _ in range(100_000)]
gc.collect()
few = gc.get_freeze_count()
garbage.LONG_LOOK_SECONDS = LONG
gc.collect()
print(few, gc.get_freeze_count())
garbage.LONG_LOOK_SECONDS = SHORT
del catalogue
gc.collect()
ours = [[]]
ours[0].append(ours)
gc.collect()
del ours
print(gc.collect())
"""


def test_what_stays_is_looked_through_once_and_new_cycles_are_collected() -> None:
    command = [sys.executable, "-c", COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    few, many, collected = map(int, done.stdout.split())
    assert (few, many >= 100_000) == (0, True)
    assert collected == 2


LEFT_BEHIND = """
import gc
import math

from longtail.runtime import garbage

garbage.keep_collections_short()
garbage.LONG_LOOK_SECONDS, garbage.WHOLE_SECONDS = -1.0, 0.0
calls = [[] for _ in range(1_000)]
for call in calls:
    call.append(call)
gc.collect()
garbage.LONG_LOOK_SECONDS = math.inf
del calls, call
print(gc.collect(), gc.collect(), gc.get_freeze_count())
"""


def test_what_calls_leave_in_cycles_is_collected_by_a_later_look() -> None:
    command = [sys.executable, "-c", LEFT_BEHIND]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0", "1000", "0"]
