"""What must not be possible is tried from inside the cluster, beside something like it that is."""

import json
import secrets
from collections.abc import Callable

import pytest

from tests.drills.deployment import Deployment
from tests.e2e.kubectl import kubectl
from tests.e2e.network_policy import connect

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

COMPONENTS = ("backend", "frontend", "postgres")
INPUTS = 10_000
# A namespace without policies of its own.
STRANGER = "default"


def pod(deployed: Deployment, component: str) -> str:
    return "postgres-0" if component == "postgres" else deployed.pods(component)[0]


@pytest.mark.parametrize(
    ("change", "rule"),
    (
        (lambda spec: spec.update(hostNetwork=True), "host namespaces"),
        (
            lambda spec: spec["containers"][0]["securityContext"].update(
                privileged=True, allowPrivilegeEscalation=True
            ),
            "privileged",
        ),
        (lambda spec: spec["securityContext"].update(runAsNonRoot=False, runAsUser=0), "runAsNonRoot"),
        (lambda spec: spec["securityContext"].pop("seccompProfile"), "seccompProfile"),
        (lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"), "unrestricted capabilities"),
        (lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "restricted volume types"),
    ),
    ids=("host network", "privileged", "root", "no seccomp", "capabilities", "host path"),
)
def test_pod_with_more_rights_is_rejected(
    deployed: Deployment, change: Callable[[dict[str, object]], None], rule: str
) -> None:
    manifest = json.loads(deployed.kubectl("get", "pod", "prober", "--output", "json"))
    del manifest["spec"]["nodeName"]
    good = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "intruder"}, "spec": manifest["spec"]}
    apply = ("create", "--dry-run=server", "--filename", "-")
    deployed.kubectl(*apply, stdin=json.dumps(good))
    change(good["spec"])
    with pytest.raises(ConnectionError, match=f'violates PodSecurity "restricted.*{rule}'):
        deployed.kubectl(*apply, stdin=json.dumps(good))


@pytest.mark.parametrize("component", COMPONENTS)
def test_container_has_no_rights_to_use(deployed: Deployment, component: str) -> None:
    name = pod(deployed, component)

    def succeeds(script: str) -> bool:
        result = kubectl("--namespace", deployed.namespace, "exec", name, "--", "sh", "-c", script)
        assert result.returncode == 0 or "command terminated with exit code" in result.stderr, result.stderr
        return result.returncode == 0

    assert succeeds("touch /tmp/writable")
    assert not any(succeeds(f"touch {folder}/written") for folder in ("", "/etc", "/usr/bin", "/app", "/opt"))
    assert not succeeds("test -e /var/run/secrets/kubernetes.io")
    status = deployed.kubectl("exec", name, "--", "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] != "0"
    assert {fields[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    # No new privileges, and system calls filtered.
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def address(deployed: Deployment, name: str) -> str:
    return deployed.kubectl("get", "pod", name, "--output", "jsonpath={.status.podIP}")


def reaches(deployed: Deployment, source: str, target: str, port: int) -> bool:
    """Tell whether a connection is made."""
    return connect(deployed.namespace, source, target, port) == 0


def test_denied_paths_are_closed_and_the_needed_ones_open(deployed: Deployment) -> None:
    backend, frontend = pod(deployed, "backend"), pod(deployed, "frontend")
    addresses = {name: address(deployed, name) for name in (backend, frontend, "postgres-0")}
    outside, port = deployed.outside()
    needed = [(frontend, addresses[backend], 8000), (backend, addresses["postgres-0"], 5432)]
    denied = [
        (frontend, addresses["postgres-0"], 5432),
        (frontend, addresses[backend], 9000),
        (frontend, outside, port),
        (backend, outside, port),
        (backend, addresses[frontend], 8080),
        ("postgres-0", outside, port),
        ("postgres-0", addresses[backend], 8000),
        ("prober", addresses["postgres-0"], 5432),
        ("prober", addresses[backend], 8000),
    ]
    assert [path for path in needed if not reaches(deployed, *path)] == []
    assert [path for path in denied if reaches(deployed, *path)] == []


def test_pod_of_another_namespace_gets_no_further_than_the_front_door(deployed: Deployment) -> None:
    with deployed.stranger(STRANGER) as stranger:
        found = {
            (component, port): reaches(stranger, "stranger", address(deployed, pod(deployed, component)), port)
            for component, port in (("frontend", 8080), ("backend", 8000), ("backend", 9000), ("postgres", 5432))
        }
        # Nothing holds it back where it comes from: without a policy at the other end it would get through.
        assert reaches(stranger, "stranger", *deployed.outside())
    assert [path for path, is_open in found.items() if is_open] == [("frontend", 8080)]


@pytest.mark.timeout(1000)
def test_what_nobody_means_is_answered_and_harms_nothing(deployed: Deployment) -> None:
    restarts, seed = deployed.restarts("backend") | deployed.restarts("frontend"), secrets.randbits(32)
    found = deployed.fuzz(INPUTS, seed)
    print(f"\nseed {seed}: {found['inputs']} inputs, statuses {found['statuses']}")
    assert found["faulty"] == 0, found["faults"]
    assert deployed.restarts("backend") | deployed.restarts("frontend") == restarts


@pytest.mark.parametrize(
    ("statement", "refusal"),
    (
        ("CREATE TABLE intruder (id integer)", "permission denied for schema public"),
        ("DROP TABLE todo", "must be owner of table todo"),
        ("ALTER TABLE todo ADD COLUMN intruder integer", "must be owner of table todo"),
        ("TRUNCATE todo", "permission denied for table todo"),
        ("UPDATE alembic_version SET version_num = 'x'", "permission denied for table alembic_version"),
        ("CREATE SCHEMA intruder", "permission denied for database todo"),
        ("CREATE TEMPORARY TABLE intruder (id integer)", "permission denied to create temporary tables"),
        ("CREATE ROLE intruder", "permission denied to create role"),
        ("ALTER ROLE todo_migrate PASSWORD 'x'", "permission denied to alter role"),
        ("COPY todo TO PROGRAM 'cat'", "permission denied to COPY to or from an external program"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied for function pg_read_file"),
        ("SELECT * FROM pg_authid", "permission denied for table pg_authid"),
    ),
)
def test_backends_role_can_read_and_write_rows_and_nothing_else(
    deployed: Deployment, statement: str, refusal: str
) -> None:
    assert deployed.psql_as_backend("SELECT count(*) >= 0 FROM todo") == "t"
    with pytest.raises(ConnectionError, match=refusal):
        deployed.psql_as_backend(statement)


def test_passwords_are_scram_and_the_superuser_comes_by_no_network(deployed: Deployment) -> None:
    assert deployed.psql("SHOW password_encryption") == "scram-sha-256"
    hashed = "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolcanlogin"
    assert deployed.psql(hashed) == "t"
    methods = "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE type <> 'local' ORDER BY 1"
    assert deployed.psql(methods) == "scram-sha-256"
    sessions = "SELECT DISTINCT usename FROM pg_stat_activity WHERE client_addr IS NOT NULL ORDER BY 1"
    assert deployed.psql(sessions) == "todo_app"
