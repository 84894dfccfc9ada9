"""The evaluation of queries in words: what is underneath, and the dials over it."""

from pathlib import Path

import numpy as np
from longtail.server.ranking.profile import Context, default_profile

from evaluation.base.table import DEFAULT, FITTED
from evaluation.dial import fit_dial
from evaluation.dial_table import dial_table
from evaluation.experiment import Options, Stage
from evaluation.fitting import learned, reach
from evaluation.methods import dial_task
from evaluation.query_experiment import query_experiment
from evaluation.query_table import query_table
from evaluation.report.results import QueryResults


def evaluate_queries(folder: Path, options: Options, k: int, stage: Stage) -> QueryResults:
    """Evaluate the queries of a folder on lists of `k`.

    Raises DatasetError when the folder has none, or too few.
    """
    material = query_experiment(folder, options, stage)
    valid, test = material.valid.period, material.test.period
    with stage("retrieval"):
        base = query_table(material, k)
    profile = default_profile()
    prior, seed = profile.models[Context.QUERY], options.seed
    with stage("dial of queries, default"):
        even = np.zeros(test.world.items)
        default = dial_table(
            DEFAULT,
            test,
            test.probabilities(prior),
            profile.dials[Context.QUERY],
            profile.reach,
            even,
            k,
            seed,
        )
    with stage("dial of queries, fitted"):
        share, model = reach(valid.requests), learned(valid.requests, prior)
        # The dial is not fitted to probabilities that know their own outcomes.
        task, observed = dial_task(valid, model.held_out, seed)
        found = fit_dial(task, share, observed, known_taste=False)
        fitted = dial_table(
            FITTED,
            test,
            test.probabilities(model.model),
            found.dial,
            share,
            found.exposure,
            k,
            seed,
        )
    return QueryResults(base, (default, fitted))
