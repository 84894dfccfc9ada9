"""Which engine keeps the graphs, as it is set: its client is loaded only where it is chosen."""

from urllib.parse import urlsplit

from longtail.runtime.settings import SettingsError
from longtail.server.catalogue.index.engines.backend import Backend

EXTRAS = {"psycopg": "postgresql", "pymilvus": "milvus"}


def backend_at(url: str) -> Backend:
    """Return the engine at a URL, which is not asked anything yet.

    Raises SettingsError where its client is not installed.
    """
    try:
        if urlsplit(url).scheme in ("postgresql", "postgres"):
            from longtail.server.catalogue.index.engines.pgvector.pgvector import PgVector

            return PgVector(url)
        from longtail.server.catalogue.index.engines.milvus import Milvus

        return Milvus(url)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name), error.name)
        raise SettingsError(
            f"LONGTAIL_INDEX_ENGINE needs {error.name}: pip install 'longtail-server[{extra}]'"
        ) from None
