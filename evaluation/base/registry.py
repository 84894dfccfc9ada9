"""The recommenders that others published, which Longtail's own scores are held against."""

from evaluation.base.ease import EASE, EASE_AND_TEXT, MEAN_TEXT
from evaluation.base.known import Base
from evaluation.base.models import ALS, BM25, BPR, COSINE, POPULARITY
from evaluation.base.sequences import NEIGHBOURS_OF_LATE, TRANSITIONS

BASES: tuple[Base, ...] = (
    POPULARITY,
    MEAN_TEXT,
    COSINE,
    BM25,
    EASE,
    EASE_AND_TEXT,
    ALS,
    BPR,
    TRANSITIONS,
    NEIGHBOURS_OF_LATE,
)
