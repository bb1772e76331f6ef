"""How Secrets are encrypted, and what is audited."""

import stat
from pathlib import Path

import pytest

from cluster import policies
from controlplane import key_files
from controlplane.apiserver.audit_policy import Level, policy_of
from controlplane.apiserver.incoming import Query, target_of
from controlplane.apiserver.users import User

BOB = User(name="bob", groups=("system:masters",))


def test_each_cluster_has_a_key_of_its_own_that_nobody_else_can_read(tmp_path: Path) -> None:
    keys: list[tuple[str, bytes]] = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        path = policies.ensure(folder, is_encrypted=False).encryption
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
        keys += key_files.encryption_keys(path)
    assert [len(secret) for _, secret in keys] == [32, 32]
    assert keys[0] != keys[1]


def test_what_is_there_stays_as_a_person_has_changed_it(tmp_path: Path) -> None:
    made = policies.ensure(tmp_path, is_encrypted=False)
    before = Path(made.encryption).read_bytes()
    Path(made.audit).write_text("rules: []")
    assert policies.ensure(tmp_path, is_encrypted=True) == made
    assert Path(made.encryption).read_bytes() == before
    assert Path(made.audit).read_text() == "rules: []"


def test_a_key_that_is_gone_is_not_replaced(tmp_path: Path) -> None:
    """Every Secret in the store would be unreadable, and nobody would know why."""
    made = policies.ensure(tmp_path, is_encrypted=False)
    Path(made.encryption).unlink()
    with pytest.raises(policies.KeyLostError, match="put it back from a backup"):
        policies.ensure(tmp_path, is_encrypted=True)
    assert not Path(made.encryption).exists()


@pytest.mark.parametrize(
    ("method", "path", "level"),
    [
        ("POST", "/api/v1/namespaces/x/secrets", Level.METADATA),
        ("GET", "/api/v1/secrets", Level.METADATA),
        ("POST", "/api/v1/namespaces/x/serviceaccounts/a/token", Level.METADATA),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", Level.METADATA),
        ("GET", "/api/v1/pods", Level.METADATA),
        ("GET", "/metrics", Level.METADATA),
        ("GET", "/readyz", Level.NONE),
        ("GET", "/livez/etcd", Level.NONE),
    ],
)
def test_who_asks_for_what_is_audited_and_no_body(
    tmp_path: Path, method: str, path: str, level: Level
) -> None:
    """Row 11.10: by default nothing is told above Metadata, least of all a Secret's body."""
    made = policies.ensure(tmp_path, is_encrypted=False)
    target = target_of(method, path, Query(""))
    verb = method.lower() if target is None else target.verb
    policy = policy_of(Path(made.audit).read_bytes())
    assert policy.choose(BOB, verb, target, path).level is level


def test_secrets_stay_at_metadata_where_a_person_raises_the_last_rule(tmp_path: Path) -> None:
    """Row 11.10."""
    path = Path(policies.ensure(tmp_path, is_encrypted=False).audit)
    head, _, tail = path.read_text().rpartition("level: Metadata")
    policy = policy_of(f"{head}level: RequestResponse{tail}".encode())
    for at, level in (
        ("/api/v1/namespaces/x/secrets/s", Level.METADATA),
        ("/api/v1/namespaces/x/configmaps/c", Level.REQUEST_RESPONSE),
    ):
        target = target_of("GET", at, Query(""))
        assert policy.choose(BOB, "get", target, at).level is level
