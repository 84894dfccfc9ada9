"""A network between a server and its index engine that passes nothing on, and says so to nobody."""

from pathlib import Path

import pytest

from tests import milvus
from tests.faults.cut_engine import check_cut, serving
from tests.faults.items import Material
from tests.faults.link import Link
from tests.faults.tally import Tally
from tests.postgresql import PostgreSQL

pytestmark = pytest.mark.model


def test_lists_go_on_while_pgvector_is_cut_off(
    postgresql: PostgreSQL, worker_address: str, material: Material, tmp_path: Path, tally: Tally
) -> None:
    with Link(postgresql.port).open() as link:
        url = postgresql.new_database().replace(f":{postgresql.port}/", f":{link.port}/")
        with serving(tmp_path, worker_address, url) as server:
            check_cut(server, link, material, tally)


def test_lists_go_on_while_milvus_is_cut_off(
    milvus_server: milvus.Milvus,
    worker_address: str,
    material: Material,
    tmp_path: Path,
    tally: Tally,
) -> None:
    with Link(milvus_server.port).open() as link:
        url = f"http://127.0.0.1:{link.port}"
        with serving(tmp_path, worker_address, url) as server:
            check_cut(server, link, material, tally)
