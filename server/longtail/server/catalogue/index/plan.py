"""How a search is done: more fetched from the graph than is asked for, or every match scanned.

A filter cannot steer the graph: what it returns is filtered afterwards, so the rarer the matches,
the more must be fetched. Where few match, comparing with each of them is cheaper, and exact. When
the matches among what was fetched are too few after all, as with a filter that goes against the
query, more is fetched, until scanning is cheaper.
"""

import math

# Time to fetch one more neighbour from the graph, in units of comparing with one gathered row:
# 2.8 us and 0.36 us at 384 dimensions and 192,875 rows.
FETCH_COST = 8.0
# Where fewer of the rows match than tombstones leave, a filter is at work. The matches then come
# from the far end of what the graph returns, too, which has gaps: it is made wider, and when it
# holds hardly more matches than are wanted, nearer ones may have been missed.
FILTERED_SHARE = 0.75
FILTERED_WIDTH = 2
SURPLUS = 10
# Fetched beyond the expected need, in standard deviations of how many of the fetched match.
DEVIATIONS = 3.0
# So many matches are compared instead where an engine that keeps the graph is away: 0.3 s. With
# more, a request is refused rather than all others kept waiting.
SCANNED_ROWS = 1_000_000


def fetch_size(k: int, matching: int, live: int, ef_search: int) -> int:
    """Return how many of `live` rows, `matching` of which match, to fetch to find `k` matches.

    At least k and at most `live`; with a filter, at least FILTERED_WIDTH times `ef_search`.
    """
    if matching >= live:
        return min(k, live)
    share = matching / live
    need = k / share
    spread = DEVIATIONS * math.sqrt(need * (1 - share) / share)
    least = FILTERED_WIDTH * ef_search if share < FILTERED_SHARE else k
    return min(live, max(least, math.ceil(need + spread)))


def are_enough(found: int, k: int, matching: int, live: int) -> bool:
    """Say whether `found` matches are so many that the `k` nearest are among them."""
    return found >= (k + SURPLUS if matching < FILTERED_SHARE * live else k)


def scan_is_cheaper(matching: int, fetch: int, ef_search: int) -> bool:
    """Say whether comparing with the `matching` rows takes less time than fetching `fetch`."""
    return matching <= FETCH_COST * max(fetch, ef_search)
