"""`python -m export MODEL OUT`: export a checkpoint, or say in one line why not."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from export import texts
from export.build import build
from export.errors import ExportError
from export.parity import Gate
from runtime.telemetry import configure_logging
from worker.artefact import ArtefactError

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the export; return the exit code: 0 done, 1 failed. Wrong usage exits with 2."""
    options = _parser().parse_args(arguments)
    configure_logging("info")
    gate = Gate(cosine_min=options.min_cosine, top10_overlap=options.min_overlap)
    try:
        sample = texts.read(options.texts) if options.texts else texts.docstrings()
        artefact = build(options.model, options.out, sample, gate)
    except (ExportError, ArtefactError, OSError) as error:
        sys.stderr.write(f"export failed: {error}\n")
        return 1
    manifest, parity = artefact.manifest, artefact.manifest.parity
    logger.info(
        "parity on %d texts: cosine %.5f mean, %.5f min; ten nearest neighbours shared %.4f",
        parity.texts,
        parity.cosine_mean,
        parity.cosine_min,
        parity.top10_overlap,
    )
    logger.info("exported %s to %s", manifest.model_id, artefact.folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a Hugging Face id or a local folder")
    parser.add_argument("out", metavar="OUT", type=Path, help="the artefact's folder")
    parser.add_argument(
        "--texts",
        type=Path,
        help="texts to measure parity on: one a line, or a .csv[.gz] with a column `text` "
        "(default: docstrings of the standard library)",
    )
    parser.add_argument(
        "--min-cosine",
        type=float,
        default=0.99,
        help="lowest cosine that any text may have with the checkpoint (default: %(default)s)",
    )
    parser.add_argument(
        "--min-overlap",
        type=float,
        default=0.90,
        help="share of the ten nearest neighbours to keep (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
