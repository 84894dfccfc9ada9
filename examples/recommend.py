"""Ask for films of the nineties at two settings of the dial, and say why each is in the list.

Run it beside `make serve`: `.venv/bin/python examples/recommend.py "space adventure with robots"`.
"""

import asyncio
import sys

from longtail.client import AsyncLongtailClient, filter_of, where
from longtail.v1.recommendation_service_pb2 import Bucket, Reason, RecommendResponse

NINETIES = filter_of(all_of=[where("year").between(at_least=1990, less_than=2000)])
STRENGTHS = (0.0, 0.5)


async def main(query: str) -> None:
    """Print a list for each strength; both are asked for at once."""
    # Without an address it is that of LONGTAIL_SERVER_ADDRESS, or 127.0.0.1:50051.
    async with AsyncLongtailClient() as client:
        answers = await asyncio.gather(
            *(
                client.recommend(query, filter=NINETIES, strength=strength, page_size=5)
                for strength in STRENGTHS
            )
        )
    for answer in answers:
        show(answer)


def show(answer: RecommendResponse) -> None:
    """Print what a list holds, what it costs, and what each score is made of."""
    metrics = answer.list_metrics
    print(
        f"strength {answer.policy.strength:g}: {metrics.tail_fraction:.0%} tail "
        f"for {metrics.relevance_loss:.1%} of the relevance"
    )
    for result in answer.results:
        made_of = result.breakdown
        reasons = ", ".join(
            Reason.Name(reason).removeprefix("REASON_") for reason in result.reasons
        )
        print(f"  {result.rank} {result.title} ({Bucket.Name(result.bucket)}): {reasons}")
        print(
            f"    score {result.score:.3f} = relevance {made_of.relevance_gain:.3f} "
            f"+ tail {made_of.tail_bonus:.3f} + coverage {made_of.coverage_bonus:.3f} "
            f"+ taste {made_of.taste_share:.3f}"
        )


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "space adventure with robots"))
