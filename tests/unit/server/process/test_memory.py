"""What becomes of freed memory: in processes of their own, since it holds for all of one."""

import subprocess
import sys

import pytest
from longtail.server.process.memory import keep_freed_memory

SOURCE = """
import resource
import sys

import numpy as np
from longtail.server.process.memory import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    held = [np.ones(1_000_000), np.ones(500_000)]
    return len(held)

work()
before = faults()
for _ in range(50):
    work()
print(faults() - before)
"""


def faults(*arguments: str) -> int:
    """Return how many pages the system had to hand out for the same work again."""
    command = [sys.executable, "-c", SOURCE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_what_a_request_frees_is_there_for_the_next() -> None:
    if not keep_freed_memory():
        pytest.skip("the C library has no mallopt")
    assert faults("keep") < faults() / 10
