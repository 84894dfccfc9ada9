"""The published re-rankers that are written here from their formulas."""

from evaluation.baselines.calibration import CALIBRATED_POPULARITY, STECK
from evaluation.baselines.fairco import FAIRCO, FAIRCO_COUNTED, FAIRCO_PARITY
from evaluation.baselines.ganc import GANC, GANC_UNIFORM
from evaluation.baselines.plain import NONE, RANDOM
from evaluation.baselines.pointwise import LOG_Q, PC, RBT
from evaluation.baselines.xquad import PFAR, XQUAD_BINARY, XQUAD_SMOOTH
from evaluation.task import Method

BASELINES: tuple[Method, ...] = (
    NONE,
    RANDOM,
    LOG_Q,
    RBT,
    PC,
    XQUAD_BINARY,
    XQUAD_SMOOTH,
    PFAR,
    CALIBRATED_POPULARITY,
    STECK,
    GANC,
    GANC_UNIFORM,
    FAIRCO,
    FAIRCO_COUNTED,
    FAIRCO_PARITY,
)
