"""What deploy/ starts is what the code has: variables, ports, files; systemd takes its units."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from longtail.runtime import setting_names
from longtail.runtime.settings import load
from longtail.server.settings import Settings as ServerSettings
from longtail.worker.settings import WorkerSettings

from deploy.wheels import PARTS
from tests.documents import DOCUMENTS
from tests.processes import ROOT

DEPLOY = ROOT / "deploy"
# Whoever imports what is there may be writing into __pycache__.
TEXTS = [path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
COMPOSED = sorted((DEPLOY / "containers").glob("*.yaml"))
WITHOUT_PODS = ("ConfigMap", "PersistentVolumeClaim")
OURS = re.compile("longtail-(server|worker):")
# What systemd itself calls a service that is well protected, of 10.
EXPOSURE = 2.0


def test_every_variable_that_is_set_is_one() -> None:
    known = setting_names.SETTINGS | setting_names.OTHERS | {setting_names.FILE}
    shown = {name for path in TEXTS for name in re.findall(r"LONGTAIL_\w+", path.read_text())}
    assert shown
    assert shown <= known


def test_ports_are_those_that_the_processes_have() -> None:
    server, worker = ServerSettings(), WorkerSettings()
    ours = {
        address.port
        for each in (server, worker)
        for address in (each.address, each.metrics_address)
    }
    for path in [*MANIFESTS, *(DEPLOY / "containers").iterdir()]:
        shown = {
            int(port) for port in re.findall(r"(?<!\d)(?:500|94)\d\d+(?!\d)", path.read_text())
        }
        assert shown <= ours, path


@pytest.mark.parametrize("name", ["server", "worker"])
def test_the_settings_of_each_unit_are_read_from_where_it_looks(name: str) -> None:
    unit = (DEPLOY / "systemd" / f"longtail-{name}.service").read_text()
    assert f"bin/longtail-{name} --config /etc/longtail/{name}.toml" in unit
    file = {"LONGTAIL_CONFIG": str(DEPLOY / "systemd" / f"{name}.toml")}
    settings: ServerSettings | WorkerSettings
    settings = load(ServerSettings, file) if name == "server" else load(WorkerSettings, file)
    state = re.search(r"^StateDirectory=(.*)$", unit, re.MULTILINE)
    assert state is not None
    assert settings.home == f"/var/lib/{state[1]}"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_units_and_calls_them_protected(unit: Path, tmp_path: Path) -> None:
    installed = tmp_path / unit.name
    installed.write_text(re.sub(r"/opt/longtail/bin/\S+", "/bin/true", unit.read_text()))
    verify = ["systemd-analyze", "verify", str(installed)]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=yes", str(installed)]
    shown = subprocess.run(security, capture_output=True, text=True, timeout=60, check=True).stdout
    level = re.search(r"Overall exposure level for .*: ([\d.]+)", shown)
    assert level is not None
    assert float(level[1]) <= EXPOSURE


@pytest.mark.parametrize("file", COMPOSED, ids=lambda path: path.stem)
def test_the_composed_services_are_built_from_what_is_there_and_as_the_images_run(
    file: Path,
) -> None:
    for service in yaml.safe_load(file.read_text())["services"].values():
        if "image" in service:
            # A version, not whatever is the newest; and only callers of ours come from outside.
            assert re.search(r":v?\d+[.]\d+", service["image"])
            assert "ports" not in service
        elif "dockerfile" in service["build"]:
            context = file.parent / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()
            assert service["read_only"]
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_an_image_is_built_with_are_extras_of_the_server() -> None:
    [server] = [part for part in PARTS if part.name == "server"]
    named = [
        extra
        for path in (DEPLOY / "containers").iterdir()
        for extras in re.findall(r"EXTRAS(?:=|: \")([\w,]+)", path.read_text())
        for extra in extras.split(",")
    ]
    assert {"postgresql", "milvus"} < set(named) <= set(server.optional)


def test_pods_are_as_restricted_as_kubernetes_knows_it() -> None:
    documents = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    documents = [each for each in documents if each["kind"] not in WITHOUT_PODS]
    pods = [each["spec"]["template"]["spec"] for each in documents if "template" in each["spec"]]
    assert len(pods) == len(MANIFESTS)
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        for container in pod["containers"]:
            held = container["securityContext"]
            assert held["capabilities"] == {"drop": ["ALL"]}
            assert not held["allowPrivilegeEscalation"]
            assert held["readOnlyRootFilesystem"] or not OURS.match(container["image"])
    # Every selector finds a pod.
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in documents
        if "template" in each["spec"]
    ]
    for each in documents:
        selector = each["spec"].get("selector") or each["spec"].get("podSelector")
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= there.items() for there in labels), each["metadata"]


def test_what_documents_say_is_in_deploy_is_there() -> None:
    shown = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?<!/)deploy/[\w./-]*\w", document.read_text())
    }
    assert len(shown) > len(UNITS)
    assert [name for name in sorted(shown) if not (ROOT / name).exists()] == []
