"""One serving process: open the store, load the view, serve until told to stop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import grpc
from longtail.runtime.errors import StoreDamaged, Unavailable
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.keys import KeyRing, KeysError
from longtail.runtime.lifecycle import HealthBoard, Listener, new_server, serve
from longtail.runtime.metrics_server import start_metrics
from longtail.runtime.settings import SettingsError
from longtail.runtime.tls import FollowedFiles, TlsError, TlsFiles
from longtail.runtime.tracing import Tracer
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.index.depot import Depot
from longtail.server.catalogue.index.engines.choice import backend_at
from longtail.server.catalogue.index.engines.engine import Engine, EngineGraphs
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.encoder.encoder import Encoder
from longtail.server.encoder.query_vectors import QueryVectors
from longtail.server.encoder.worker import Security
from longtail.server.operations.person_names import keep_names
from longtail.server.operations.runner import OperationRunner
from longtail.server.operations.snapshots import SnapshotLimits, Snapshots
from longtail.server.operations.start_check import check_store
from longtail.server.process.audit import Audit
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.process.pseudonyms import PseudonymKeyError, Pseudonyms, read_pseudonyms
from longtail.server.process.reach import Reach
from longtail.server.process.supervision import lifeline
from longtail.server.ranking.profile import ProfileError
from longtail.server.recommend.recommender import Recommender
from longtail.server.rpc.admin import AdminService
from longtail.server.rpc.insight import InsightService
from longtail.server.rpc.interactions import InteractionService
from longtail.server.rpc.items import ItemService
from longtail.server.rpc.recommendations import RecommendationService
from longtail.server.rpc.reviews import ReviewService
from longtail.server.rpc.roles import ROLES
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.server.settings import DAY, Settings
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import BoundEncoder
from longtail.server.upkeep.depot_keeping import keep_depot
from longtail.server.upkeep.engine_watch import watch_engine
from longtail.server.upkeep.exposure_watch import keep_impressions, watch_exposure
from longtail.server.upkeep.following import Follower, keep_following, keep_listening
from longtail.server.upkeep.half_life import keep_half_life
from longtail.server.upkeep.head_keeping import keep_learning
from longtail.server.upkeep.head_watch import HeadWatch, watch_head
from longtail.server.upkeep.keys_watch import watch_keys
from longtail.server.upkeep.office import watch_office
from longtail.server.upkeep.profile_watch import ProfileWatch, watch_profile
from longtail.server.upkeep.recall_canary import watch_recall
from longtail.server.upkeep.retention import watch_retention
from longtail.server.upkeep.service_health import ServiceHealth
from longtail.server.upkeep.writing_health import watch_writing
from longtail.server.write.spaces import VectorSpaces
from longtail.server.write.writer import Catalogue
from longtail.v1 import (
    admin_service_pb2_grpc,
    insight_service_pb2_grpc,
    interaction_service_pb2_grpc,
    item_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    review_service_pb2_grpc,
)

logger = logging.getLogger(__name__)

# Parts of the process: a worker that has the catalogue's encoder, and writes to the store.
ENCODER, WRITING = "encoder", "writing"
REVIEW, ADMIN = "longtail.v1.ReviewService", "longtail.v1.AdminService"
# What each service cannot do all its work without.
SERVICES = {
    "longtail.v1.RecommendationService": (ENCODER,),
    "longtail.v1.ItemService": (ENCODER, WRITING),
    "longtail.v1.InteractionService": (WRITING,),
    "longtail.v1.InsightService": (),
    REVIEW: (WRITING,),
    ADMIN: (WRITING,),
}
# On the listener of administration, where there is one.
APART = (REVIEW, ADMIN)
# Those whose requests may be as large as a message: batches of what is written.
BATCHES = ("ItemService/BatchUpsertItems", "InteractionService/WriteInteractions")
# Those who look after a server get through whatever others ask of it.
ADMINISTRATION = ("AdminService", "InsightService", "ReviewService")
# What the process can answer without, by the names in health and metrics.
INDEXER, OPERATIONS, RECALL = "indexer", "operations", "recall-canary"
PROFILE, EXPOSURE, FOLLOWING = "ranking-profile", "exposure-watch", "store-watch"
LISTENING, MAINTENANCE, IMPRESSIONS = "store-listener", "maintenance", "impressions"
KEYS, RETENTION, HEAD = "keys", "interaction-retention", "head"
ENGINE, DEPOT = "index-engine", "index-depot"
PARTS = (
    INDEXER,
    OPERATIONS,
    RECALL,
    PROFILE,
    EXPOSURE,
    FOLLOWING,
    LISTENING,
    MAINTENANCE,
    IMPRESSIONS,
    KEYS,
    RETENTION,
    HEAD,
    ENGINE,
    DEPOT,
)


class StartError(Exception):
    """The server cannot start; the message says what to do."""


async def run(
    settings: Settings, tracer: Tracer | None, *, process: int | None, check: bool
) -> None:
    """Serve; as number `process` of several that share the port, or alone.

    `check`: whether to look for damage first, which takes that nobody has the store open.
    Raises StartError, SettingsError, StoreDamaged and CannotListen.
    """
    keys = _key_ring(settings)
    tls, worker_tls = followed(settings.tls), followed(settings.worker_tls)
    metrics = settings.metrics_address.further(process or 0)
    start_metrics(metrics, tls=settings.tls, keys=keys)
    security = None if worker_tls is None else Security(worker_tls, settings.worker_name)
    encoder = Encoder(settings.worker_address, security=security)
    pseudonyms = _pseudonyms(settings)
    try:
        profiles = ProfileWatch(settings.profile_path)
    except ProfileError as error:
        advice = "mend it, remove it, or fit it anew with python -m evaluation fit"
        raise StartError(f"the ranking profile is of no use: {error}; {advice}") from None
    engine = Engine(backend_at(settings.index_engine)) if settings.index_engine else None
    depot = _depot(settings.index_depot) if settings.index_depot else None
    store = await asyncio.to_thread(open_store, settings, check)
    try:
        async with encoder:
            bound = await _bind(store, encoder, settings)
            snapshots = Snapshots(settings.snapshot_folder)
            await asyncio.to_thread(keep_names, store, settings.data, snapshots, pseudonyms)
            await keep_half_life(store, settings)
            view = await asyncio.to_thread(_load, store, bound, settings, engine, depot)
            heads = HeadWatch(settings.head_path, view)
            # What was learned serves from the first answer on.
            await asyncio.to_thread(heads.refresh)
            with (
                BehaviourView(store, settings.behaviour_fit_seconds) as behaviour,
                Reach(bounded=store.is_shared) as reach,
            ):
                follower = Follower(store, view, behaviour, reach)
                waiting = settings.max_waiting_writes
                limit = round(settings.audit_mb * 10**6)
                with (
                    closing(Audit(settings.audit, process, limit)) as audit,
                    store.group_commit(follower.follow, waiting) as commit,
                    Pools() as pools,
                ):
                    await _serve(
                        settings,
                        follower,
                        profiles,
                        heads,
                        encoder,
                        commit,
                        pools,
                        keys,
                        tls,
                        audit,
                        pseudonyms,
                        tracer,
                        process,
                        engine,
                        depot,
                    )
    finally:
        store.close()
        if engine is not None:
            engine.close()


def followed(files: TlsFiles | None) -> FollowedFiles | None:
    """Return files for TLS that are taken over when they change. Raises StartError."""
    try:
        return None if files is None else FollowedFiles(files)
    except TlsError as error:
        raise StartError(str(error)) from None


def _snapshot_limits(settings: Settings, store: RecordStore) -> SnapshotLimits | None:
    # In a folder of one of several servers others would not find them, nor erase anybody in them.
    if store.is_shared and not settings.snapshots_in:
        return None
    return SnapshotLimits(settings.snapshots, round(settings.snapshots_gb * 10**9))


def _key_ring(settings: Settings) -> KeyRing:
    try:
        if settings.keys and not settings.keys_path.exists():
            raise KeysError(f"there is no file {settings.keys}")
        return KeyRing(settings.keys_path, ROLES)
    except KeysError as error:
        raise StartError(f"LONGTAIL_SERVER_KEYS: {error}") from None


def _pseudonyms(settings: Settings) -> Pseudonyms:
    if not settings.pseudonym_key:
        return Pseudonyms()
    try:
        return read_pseudonyms(Path(settings.pseudonym_key), settings.data)
    except PseudonymKeyError as error:
        raise SettingsError(f"LONGTAIL_PSEUDONYM_KEY: {error}") from None


def open_store(settings: Settings, check: bool) -> RecordStore:
    """Open the store; a file is looked at for damage before, to `check`. Raises StartError."""
    if settings.store:
        try:
            return RecordStore.open(settings.store)
        except ModuleNotFoundError as error:
            raise StartError(
                f"LONGTAIL_STORE: there is no {error.name}: install longtail-server[postgresql]"
            ) from None
    if check:
        check_store(settings.data, settings.index_folder, settings.snapshot_folder)
    return RecordStore.open(settings.data / DATABASE)


def _depot(url: str) -> Depot:
    try:
        return Depot(url)
    except (ImportError, ValueError) as error:
        advice = "it takes longtail-server[storage] and the library of its scheme"
        raise StartError(f"LONGTAIL_INDEX_DEPOT: {error}; {advice}") from None


def _load(
    store: RecordStore,
    bound: BoundEncoder,
    settings: Settings,
    engine: Engine | None,
    depot: Depot | None,
) -> CatalogueReplica:
    folder = settings.index_folder
    graphs = None if engine is None else EngineGraphs(engine, folder)
    try:
        return CatalogueReplica(store, bound, settings, folder, graphs, depot)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # It is a database, but what stands in it was not written by us.
        problem = f"{store.name} cannot be understood: {type(error).__name__}"
        raise StoreDamaged(problem) from error
    except StoreDamaged as error:
        raise StoreDamaged(f"{store.name}: {error.problem}") from error


async def _bind(store: RecordStore, encoder: Encoder, settings: Settings) -> BoundEncoder:
    """Return the catalogue's encoder; a new catalogue gets that of the worker."""
    bound = await asyncio.to_thread(store.encoders.current)
    if bound is not None:
        return bound
    try:
        found = await encoder.describe(settings.start_seconds)
    except Unavailable as error:
        raise StartError(f"{error}: start a worker, or set LONGTAIL_WORKER_ADDRESS") from None
    with store.group_commit(lambda: None, settings.max_waiting_writes) as commit:
        return await asyncio.wrap_future(commit.submit(lambda tx: store.encoders.bind(tx, found)))


async def _serve(
    settings: Settings,
    follower: Follower,
    profiles: ProfileWatch,
    heads: HeadWatch,
    encoder: Encoder,
    commit: GroupCommit,
    pools: Pools,
    keys: KeyRing,
    tls: FollowedFiles | None,
    audit: Audit,
    pseudonyms: Pseudonyms,
    tracer: Tracer | None,
    process: int | None,
    engine: Engine | None,
    depot: Depot | None,
) -> None:
    store, view = follower.store, follower.view
    board = HealthBoard(list(SERVICES), PARTS)
    health = ServiceHealth(board, SERVICES)
    loop = asyncio.get_running_loop()

    def part(name: str) -> Part:
        def report(well: bool) -> None:
            asyncio.run_coroutine_threadsafe(board.set_part(name, well), loop)

        return Part(name, report)

    def new() -> grpc.aio.Server:
        interceptor = ServiceInterceptor(
            max_in_flight=settings.max_in_flight,
            unary_seconds=settings.unary_seconds,
            stream_seconds=settings.stream_seconds,
            max_streams=settings.max_streams,
            idle_seconds=settings.idle_seconds,
            batches=BATCHES,
            administration=ADMINISTRATION,
            keys=keys,
            tracer=tracer,
        )
        return new_server([interceptor], board, reuse_port=process is not None)

    server = new()
    listeners = [Listener(server, settings.address, list(SERVICES))]
    administration = server
    if settings.admin_address is not None:
        administration = new()
        listeners = [
            Listener(server, settings.address, [each for each in SERVICES if each not in APART]),
            Listener(administration, settings.admin_address, APART),
        ]
    catalogue = Catalogue(
        store,
        lambda: view.state.encoder,
        encoder.embed,
        commit,
        pools,
        audit,
        settings.attribute_names,
    )
    behaviour, reach = follower.behaviour, follower.reach
    recommender = Recommender(
        lambda: behaviour.behaviour,
        profiles,
        lambda *asked: reach.read(partial(store.impressions.recent, *asked)) or (),
        settings.candidates,
    )
    # What was given out while persons went by their ids leads to nobody who is known.
    tokens = TokenCodec(store.token_key() + pseudonyms.mark)
    indexer = Indexer(view, store, settings.index_folder, settings.index_merge_rows, part(INDEXER))
    owned, office = asyncio.Event(), Office()
    operations = OperationRunner(
        store,
        commit,
        view,
        indexer,
        encoder,
        Snapshots(settings.snapshot_folder),
        settings.data,
        pools,
        part(OPERATIONS),
        office,
        _snapshot_limits(settings, store),
        audit,
    )

    def revision() -> int:
        return min(view.revision, behaviour.revision)

    recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
        RecommendationService(
            recommender,
            view,
            behaviour.people,
            lambda: behaviour.is_complete,
            revision,
            lambda: pools.elements(1, follower.follow),
            store.items,
            store.decisions,
            reach,
            QueryVectors(encoder.embed),
            tokens,
            pools,
            settings.strength,
            pseudonyms,
        ),
        server,
    )
    item_service_pb2_grpc.add_ItemServiceServicer_to_server(
        ItemService(store.items, catalogue, pools), server
    )
    interaction_service_pb2_grpc.add_InteractionServiceServicer_to_server(
        InteractionService(
            store.interactions,
            catalogue,
            tokens,
            pools,
            pseudonyms,
            settings.interaction_days,
            lambda item_ids: view.state.has(item_ids),
        ),
        server,
    )
    insight_service_pb2_grpc.add_InsightServiceServicer_to_server(
        InsightService(store, view, revision, pools), server
    )
    review_service_pb2_grpc.add_ReviewServiceServicer_to_server(
        ReviewService(store, catalogue, pools), administration
    )
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(
        AdminService(view, operations, VectorSpaces(store, commit, audit), pools), administration
    )
    await health.set(WRITING, commit.damage is None)
    heard = asyncio.Event()
    background = {
        "encoder watch": _watch_encoder(encoder, view, health),
        "writing watch": watch_writing(commit, lambda: health.set(WRITING, False)),
        "indexer": _keep_index(indexer, owned.set),
        "maintenance": watch_office(store, office, owned, part(MAINTENANCE)),
        "head": watch_head(heads, part(HEAD), audit),
        "head learning": keep_learning(settings, view, behaviour, heads, owned),
        "operations": operations.run(),
        "encoding": operations.encode(),
        "recall canary": watch_recall(view, part(RECALL)),
        "ranking profile": watch_profile(profiles, part(PROFILE), audit),
        "keys watch": watch_keys(keys, part(KEYS)),
        "exposure watch": watch_exposure(store, view, part(EXPOSURE)),
        "impressions": keep_impressions(store, commit, settings, office, part(IMPRESSIONS)),
        "store watch": keep_following(follower, pools, part(FOLLOWING), heard, process is not None),
        "store listener": keep_listening(follower, part(LISTENING), heard),
    }
    if engine is not None:
        background["index engine"] = watch_engine(engine, part(ENGINE))
    if depot is not None:
        background["index depot"] = keep_depot(depot, view, office, part(DEPOT))
    if settings.interaction_days:
        kept = round(settings.interaction_days * DAY)
        retention = watch_retention(store, commit, kept, audit, office, part(RETENTION))
        background["interaction retention"] = retention
    await serve(
        *listeners,
        board=board,
        background=background,
        drain_seconds=settings.drain_seconds,
        stop_when=None if process is None else lifeline(),
        tls=tls,
    )


async def _watch_encoder(encoder: Encoder, view: CatalogueReplica, health: ServiceHealth) -> None:
    """Keep the health of what needs the encoder true: it takes one worker that serves."""
    serving = False
    while True:
        serving = await encoder.wait_for_change(serving, lambda: view.state.encoder.binding)
        await health.set(ENCODER, serving)


async def _keep_index(indexer: Indexer, *became_owner: Callable[[], None]) -> None:
    """Run the indexer in a thread of its own, and see its end when this task is cancelled."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="indexer") as thread:

        def tell() -> None:
            for told in became_owner:
                loop.call_soon_threadsafe(told)

        work = loop.run_in_executor(thread, indexer.run, tell)
        try:
            await asyncio.shield(work)
        finally:
            indexer.stop()
            await work
