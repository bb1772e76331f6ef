"""The list of commands keeps its promises: how many, of which kinds, which commands.

Issue 5, "Must show" 2. Nothing runs here.
"""

import re
import shlex
from pathlib import Path

import pytest

from controlplane.api.registry import Registry
from tests.e2e.kubectl import programs
from tests.e2e.kubectl.script import Line
from tests.e2e.kubectl.scripts import SCENARIOS

COMMANDS_MIN = 120
ERRORS_MIN = 30
VERBS_MIN = 3

# What kubectl-needs.md names and no running pod is needed for.
COMMANDS = """
version; cluster-info; get; get all; get --subresource=scale; get -w; get --raw; explain; create -f;
create deployment; create job; create cronjob; create namespace; create serviceaccount;
create configmap; create secret; create role; create rolebinding; create clusterrole;
create clusterrolebinding; create quota; create poddisruptionbudget; create priorityclass;
create service; create ingress; create token; apply -f; apply --server-side; apply -k; diff; edit;
replace; patch; label; annotate; scale; scale --current-replicas; set image; set env; set resources;
rollout status; rollout history; rollout undo; rollout restart; rollout pause; rollout resume;
delete; delete --all; delete -l; wait; events; describe pod; describe node; describe svc;
describe deployment; run; debug; expose; autoscale; auth can-i; auth can-i --list; auth whoami;
auth reconcile; cordon; uncordon; drain; taint; top; kustomize; api-resources; api-versions
"""

DEBIANS_VERBS = {"get", "create", "apply", "delete", "scale", "label", "patch", "describe", "set"}

LINES = [line for scenario in SCENARIOS for line in scenario.lines if line.command]


def words(line: Line) -> list[str]:
    return shlex.split(line.command)


def test_there_are_many_commands_and_many_errors() -> None:
    typed = {(line.command, line.stdin, line.user) for line in LINES}
    refused = {(line.command, line.stdin, line.user) for line in LINES if line.is_error}
    assert len(typed) >= COMMANDS_MIN
    assert len(refused) >= ERRORS_MIN


def test_every_error_says_what_is_printed() -> None:
    silent = [
        line.command
        for line in LINES
        if line.is_error and line.err is None and line.out in (None, "")
    ]
    assert not silent


@pytest.mark.parametrize("command", [one.strip() for one in COMMANDS.split(";")])
def test_every_command_is_typed(command: str) -> None:
    wanted = command.split()
    found = [
        line.command
        for line in LINES
        if wanted[0] in words(line)[:1]
        and all(
            any(word == want or word.startswith(f"{want}=") for word in words(line))
            for want in wanted[1:]
        )
    ]
    assert found


def test_debians_kubectl_types_the_verbs_of_every_day() -> None:
    typed = [
        line.command
        for scenario in SCENARIOS
        for line in scenario.lines
        if scenario.since <= programs.DEBIAN_MINOR and line.is_for(programs.DEBIAN_MINOR)
    ]
    assert {command.split()[0] for command in typed if command} >= DEBIANS_VERBS
    assert len(set(typed)) >= COMMANDS_MIN


def test_what_is_downloaded_is_what_is_looked_for() -> None:
    script = (Path(__file__).parents[3] / "scripts/kubectls").read_text()
    assert re.findall(r"^oldest_minor=(\d+)", script, re.MULTILINE) == [str(programs.OLDEST_MINOR)]


def test_every_kind_meets_three_verbs() -> None:
    lacking = {}
    for resource in Registry.builtin().all():
        if "get" not in resource.verbs:
            continue  # reviews are posted and kept nowhere
        qualified = ".".join(filter(None, (resource.singular, resource.group)))
        names = {resource.singular, resource.plural, *resource.short_names, qualified}
        verbs = {
            words(line)[0]
            for line in LINES
            if names & set(re.split(r"[ /,]", line.command))
            or re.search(rf"^kind: {resource.kind}$", line.stdin, re.MULTILINE)
        }
        if len(verbs) < VERBS_MIN:
            lacking[qualified] = verbs
    assert not lacking


def test_every_scenario_names_its_rows() -> None:
    for scenario in SCENARIOS:
        assert re.fullmatch(r"\d+\.\d+( \d+\.\d+)*", scenario.rows), scenario.name
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
