from longtail.worker.health import Health


async def test_the_worker_is_well_while_every_part_is() -> None:
    published: list[bool] = []

    async def publish(well: bool) -> None:
        published.append(well)

    health = Health(["batcher", "golden"], publish)
    batcher, golden = health.part("batcher"), health.part("golden")
    await batcher(True)
    assert published == []
    await golden(True)
    await golden(True)
    assert published == [True]
    await batcher(False)
    await golden(False)
    await batcher(True)
    assert published == [True, False]
    await golden(True)
    assert published == [True, False, True]
