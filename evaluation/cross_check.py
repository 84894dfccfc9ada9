"""The relevance metrics against trec_eval, the field's own code, on lists of a run."""

import numpy as np
import pytrec_eval
from numpy.typing import NDArray

from evaluation.metrics import Truth
from evaluation.relevance_metrics import ndcg, recall, reciprocal_rank

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def largest_differences(lists: Ints, truth: Truth) -> dict[str, float]:
    """Return by how much ndcg, recall and mrr of any user are off trec_eval's, at most.

    `lists` (U, K): catalogue positions in the order of display. Users without a relevant item have
    no value in either and are left out.
    """
    k = lists.shape[1]
    users = np.flatnonzero(truth.counts)
    relevant = {
        str(user): {
            str(item): 1 for item in truth.items[truth.offsets[user] : truth.offsets[user + 1]]
        }
        for user in users
    }
    # It sorts by score and knows no other order.
    run = {
        str(user): {str(item): float(k - place) for place, item in enumerate(lists[user])}
        for user in users
    }
    evaluator = pytrec_eval.RelevanceEvaluator(
        relevant, {f"ndcg_cut.{k}", f"recall.{k}", "recip_rank"}
    )
    theirs = evaluator.evaluate(run)

    hits = truth.hits(lists)
    ours: dict[str, tuple[str, Floats]] = {
        "ndcg": (f"ndcg_cut_{k}", ndcg(hits, truth.counts)),
        "recall": (f"recall_{k}", recall(hits, truth.counts)),
        "mrr": ("recip_rank", reciprocal_rank(hits)),
    }
    return {
        name: max(abs(float(values[user]) - theirs[str(user)][key]) for user in users)
        for name, (key, values) in ours.items()
    }
