"""Every method has a role: that of the table, and no method is in it that there is not."""

from google.protobuf import descriptor_pool
from longtail.runtime.reflection import V1
from longtail.server.app import SERVICES
from longtail.server.rpc.roles import ROLES


def test_every_method_of_every_service_has_a_role() -> None:
    pool = descriptor_pool.Default()
    methods = {
        f"/{service.full_name}/{method.name}"
        for service in map(pool.FindServiceByName, SERVICES)
        for method in service.methods
    }
    reflection = {f"/{name}/ServerReflectionInfo" for name in (V1, V1.replace("v1", "v1alpha"))}
    assert set(ROLES) == methods | reflection
