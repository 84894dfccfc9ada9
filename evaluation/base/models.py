"""Item neighbours, ALS and BPR from the package `implicit`, and plain popularity.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008); Rendle
et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback" (UAI 2009).
"""

import warnings

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from implicit.utils import ParameterWarning
from scipy import sparse
from threadpoolctl import threadpool_limits

from evaluation.base.known import Base, Known, Score, Setting, dense
from evaluation.task import Floats, Ints


def popularity(known: Known, setting: Setting) -> Score:
    """Return the popularity of each item, for everybody."""
    return lambda asked: np.tile(known.popularity, (len(asked), 1))


def cosine(known: Known, setting: Setting) -> Score:
    """Return the sum of an item's cosines to what a person likes, of `neighbours` of each."""
    return _neighbours(CosineRecommender(int(setting["neighbours"]), num_threads=1), known)


def bm25(known: Known, setting: Setting) -> Score:
    """Return the same with the likes weighed as BM25 weighs words."""
    model = BM25Recommender(
        int(setting["neighbours"]), K1=setting["k1"], B=setting["b"], num_threads=1
    )
    return _neighbours(model, known)


def als(known: Known, setting: Setting) -> Score:
    """Return the products of factors that alternating least squares finds."""
    # Threads of the algebra library beside the package's own stand in each other's way.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=int(setting["factors"]),
            regularization=setting["regularisation"],
            alpha=setting["alpha"],
            random_state=known.seed,
            num_threads=1,
        )
        return _factors(model, known)


def bpr(known: Known, setting: Setting) -> Score:
    """Return the products of factors that rank what was liked above what was not."""
    model = BayesianPersonalizedRanking(
        factors=int(setting["factors"]),
        learning_rate=setting["rate"],
        regularization=setting["regularisation"],
        iterations=int(setting["passes"]),
        random_state=known.seed,
        # With more it is drawn in another order each time.
        num_threads=1,
    )
    return _factors(model, known)


def _neighbours(model: CosineRecommender | BM25Recommender, known: Known) -> Score:
    with warnings.catch_warnings():
        # The package turns the matrix that it weighs itself into the form that it wants.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(known.likes, show_progress=False)
    similarity: sparse.csr_matrix = model.similarity
    return lambda asked: dense(known.likes[asked] @ similarity)


def _factors(model: AlternatingLeastSquares | BayesianPersonalizedRanking, known: Known) -> Score:
    model.fit(known.likes.astype(np.float32), show_progress=False)

    def score(asked: Ints) -> Floats:
        products: Floats = (model.user_factors[asked] @ model.item_factors.T).astype(np.float64)
        return products

    return score


POPULARITY = Base("popularity", {}, popularity)
COSINE = Base("item-kNN cosine", {"neighbours": (20, 50, 100, 200, 500)}, cosine)
BM25 = Base(
    "item-kNN BM25",
    {"neighbours": (20, 50, 200), "k1": (0.1, 0.4, 1.2, 5.0), "b": (0.2, 0.75)},
    bm25,
)
ALS = Base(
    "ALS",
    {"alpha": (1.0, 5.0), "factors": (8, 16, 32, 64, 128), "regularisation": (0.1, 3.0, 30.0)},
    als,
)
BPR = Base(
    "BPR",
    {
        "rate": (0.02, 0.1),
        "passes": (30, 100),
        "regularisation": (0.001, 0.01, 0.1),
        "factors": (16, 64),
    },
    bpr,
)
