"""Re-rankers that give each candidate a value of its own, whatever else is in the list."""

import numpy as np

from evaluation.baselines.dials import factors
from evaluation.baselines.plain import best_first
from evaluation.task import Family, Floats, Ints, Method, Rerank, Task


def _log_popularity_penalty(task: Task, dial: float) -> Ints:
    popularity = task.catalogue.popularity[task.items]
    return best_first(np.log(task.scores) - dial * np.log1p(popularity), task.k)


def _by_popularity_above_threshold(task: Task, dial: float) -> Ints:
    popularity = task.catalogue.popularity[task.items]
    threshold = (1 - dial) * task.scores.max(axis=1, keepdims=True)
    above = task.scores >= threshold
    # Below the threshold the scores alone decide.
    order = np.lexsort((-task.scores, np.where(above, popularity, 0.0), ~above))
    return order[:, : task.k]


def popularity_compensation(beta: float) -> Rerank:
    """Return the re-ranker that adds what a candidate's lack of popularity has cost it.

    The value of a candidate is r + dial * c, with the compensation
    c = (beta * r + 1 - beta) / (popularity + 1); within a pool both r and c have a root mean square
    of one. `beta`, 0 to 1, is how far the compensation follows the relevance r.
    """

    def rerank(task: Task, dial: float) -> Ints:
        popularity = task.catalogue.popularity[task.items]
        scores = _unit_mean_square(task.scores)
        compensation = (beta * scores + 1 - beta) / (popularity + 1)
        return best_first(scores + dial * _unit_mean_square(compensation), task.k)

    return rerank


def _unit_mean_square(values: Floats) -> Floats:
    scaled: Floats = values / np.sqrt(np.mean(values**2, axis=1, keepdims=True))
    return scaled


# log score - dial * log(popularity + 1): the correction for how often an item is drawn, from Yi et
# al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations" (RecSys
# 2019), applied after training as in Menon et al., "Long-tail learning via logit adjustment" (ICLR
# 2021).
LOG_Q = Method("logQ", Family.BASELINE, factors(0.01, 5, 47), _log_popularity_penalty)

# Adomavicius and Kwon, "Improving Aggregate Recommendation Diversity Using Ranking-Based
# Techniques" (TKDE 2012), by item popularity: candidates that reach 1 - dial of the best score in
# the pool come first, the least popular one leading.
RBT = Method("RBT", Family.BASELINE, factors(0.01, 1, 39), _by_popularity_above_threshold)

# Zhu, He, Zhao, Zhang, Wang and Caverlee, "Popularity-Opportunity Bias in Collaborative Filtering"
# (WSDM 2021), with the beta of the authors' code.
PC = Method("PC", Family.BASELINE, factors(0.02, 10, 47), popularity_compensation(0.4))
