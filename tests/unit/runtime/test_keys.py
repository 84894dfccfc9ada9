"""The file of API keys, and who is known by it."""

import json
from pathlib import Path

import pytest
from longtail.runtime.errors import Overloaded, PermissionDenied, Unauthenticated
from longtail.runtime.identity import Allowance, Limits, Role
from longtail.runtime.keys import Key, KeyRing, KeysError, hashed, new_secret, read_keys, write_keys

CREATED = "2026-11-28T10:00:00+00:00"
METHOD = "/longtail.v1.ItemService/UpdateItem"


def key(name: str, secret: str, role: Role = Role.READ, limits: Limits = Limits()) -> Key:  # noqa: B008
    return Key(name, role, hashed(secret), CREATED, limits)


def bearer(secret: str) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "test"), ("authorization", f"Bearer {secret}")]


def test_keys_are_kept_hashed_in_a_file_of_their_owner_alone(tmp_path: Path) -> None:
    path, secret = tmp_path / "keys.json", new_secret()
    keys = (key("shop", secret, Role.WRITE, Limits(rate=5, batch=10)), key("site", new_secret()))
    write_keys(path, keys)
    assert read_keys(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"role": "root"}, "a role that there is not"),
        ({"sha256": "12"}, "no SHA-256"),
        ({"sha256": "x" * 64}, "no SHA-256"),
        ({"name": ""}, "no name"),
        ({"limits": {"rate": 0}}, "no limit"),
        ({"limits": {"rate": True}}, "no limit"),
        ({"limits": {"speed": 1}}, "damaged, or no file of keys"),
        ({"limits": []}, "damaged, or no file of keys"),
    ],
)
def test_a_file_of_no_use_is_refused(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    path = tmp_path / "keys.json"
    entry = {"name": "shop", "role": "read", "sha256": hashed("a"), "created": CREATED}
    path.write_text(json.dumps({"keys": [{**entry, **change}]}))
    path.chmod(0o600)
    with pytest.raises(KeysError, match=problem):
        read_keys(path)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [1]}', '{"keys": 1}', "{}", "[" * 100_000])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeysError, match=f"{path} is damaged, or no file of keys: put a copy"):
        read_keys(path)


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read: Is a directory"):
        read_keys(tmp_path)


def test_a_file_that_others_can_write_and_one_with_a_key_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [key("shop", "a"), key("site", "a")])
    with pytest.raises(KeysError, match="one key twice"):
        read_keys(path)
    path.chmod(0o620)
    with pytest.raises(KeysError, match="others can write"):
        read_keys(path)


def test_a_caller_is_known_by_the_key_and_by_nothing_less(tmp_path: Path) -> None:
    path, secret = tmp_path / "keys.json", new_secret()
    write_keys(path, [key("shop", secret, Role.WRITE)])
    ring = KeyRing(path, {METHOD: Role.WRITE})
    caller = ring.caller(bearer(secret))
    assert (caller.name, caller.role) == ("shop", Role.WRITE)
    wrong = [bearer(secret[:-1]), bearer(""), bearer(hashed(secret)), bearer(f"{secret} "), []]
    wrong += [[("authorization", secret)], [("authorization", b"Bearer x")]]
    for metadata in wrong:
        with pytest.raises(Unauthenticated):
            ring.caller(metadata)


def test_a_role_includes_those_before_it_and_a_method_without_one_needs_the_most(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [key(role.name, role.name, role) for role in Role])
    ring = KeyRing(path, {METHOD: Role.WRITE})
    allowed = {
        method: [role.name for role in Role if may(ring, role.name, method)]
        for method in (METHOD, "/new")
    }
    assert allowed == {METHOD: ["WRITE", "REVIEW", "ADMIN"], "/new": ["ADMIN"]}


def may(ring: KeyRing, secret: str, method: str) -> bool:
    try:
        ring.check_role(ring.caller(bearer(secret)), method)
    except PermissionDenied:
        return False
    return True


def test_keys_are_made_and_revoked_while_the_ring_is_used(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = KeyRing(path, {})
    assert not ring.closed
    write_keys(path, [key("old", "a", limits=Limits(concurrency=1)), key("new", "b")])
    ring.refresh()
    assert ring.closed
    old = ring.caller(bearer("a"))
    assert old.allowance is not None
    with old.allowance.place():
        write_keys(path, [key("old", "a", limits=Limits(concurrency=1))])
        ring.refresh()
        again = ring.caller(bearer("a")).allowance
        assert again is not None
        with pytest.raises(Overloaded), again.place():
            raise AssertionError
    with pytest.raises(Unauthenticated):
        ring.caller(bearer("b"))
    write_keys(path, [])
    ring.refresh()
    with pytest.raises(Unauthenticated):
        ring.caller(bearer("a"))


def test_a_file_that_breaks_or_goes_away_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [key("shop", "a")])
    ring = KeyRing(path, {})
    path.write_text("{")
    with pytest.raises(KeysError):
        ring.refresh()
    ring.refresh()
    path.unlink()
    with pytest.raises(KeysError):
        ring.refresh()
    assert ring.closed
    assert ring.caller(bearer("a")).name == "shop"


def test_calls_a_second_come_back_as_time_passes() -> None:
    now = [100.0]
    allowance = Allowance(Limits(rate=2), clock=lambda: now[0])
    for seconds, refused_for in [(0.0, 0), (0.25, 0), (0.25, 0.5), (0.5, 0), (0.0, 0.25)]:
        now[0] += seconds
        if not refused_for:
            with allowance.place():
                continue
        with pytest.raises(Overloaded) as caught, allowance.place():
            raise AssertionError
        assert caught.value.retry_seconds == pytest.approx(refused_for)
