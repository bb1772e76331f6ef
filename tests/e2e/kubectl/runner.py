"""Runs the lines of a scenario and says what went otherwise than told."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.kubectl.script import Line, Scenario, fault

COMMAND_SECONDS_MAX = 120  # a crowded machine; no command here waits for long
POLL_SECONDS = 0.05
EDITOR = "editor.py"


class Runner:
    """A terminal: a kubectl, a folder with a kubeconfig, and what was saved."""

    def __init__(
        self, program: Path, minor: int, folder: Path, kubeconfig: dict[str, Any], namespace: str
    ) -> None:
        self._program = program
        self._minor = minor
        self._folder = folder
        self._saved = {"NS": namespace}
        self._jobs: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        (folder / EDITOR).write_text(_EDITOR)

    def run(self, scenario: Scenario) -> None:
        """All lines; AssertionError at the first that goes wrong."""
        for name, text in scenario.files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._filled(text))
        try:
            for line in scenario.lines:
                if line.is_for(self._minor):
                    self._run_line(line)
        finally:
            for job in self._jobs.values():
                _end(job)

    def _run_line(self, line: Line) -> None:
        if line.is_awaited:
            self._await(line)
            _end(self._jobs.pop(line.job))
        elif line.job:
            with self._output(line.job).open("wb") as output:
                self._jobs[line.job] = subprocess.Popen(
                    self._words(line),
                    cwd=self._folder,
                    env=self._environment(line),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            self._await(line)
        elif line.is_to_come:
            self._judge_in_time(line)
        else:
            self._judge(line)

    def _judge_in_time(self, line: Line) -> None:
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        while True:
            try:
                self._judge(line)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return

    def _judge(self, line: Line) -> None:
        ended = subprocess.run(
            self._words(line),
            cwd=self._folder,
            env=self._environment(line),
            input=self._filled(line.stdin),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        faults = [
            f"{stream}: {found}"
            for stream, expected, text in (
                ("stdout", line.out, ended.stdout),
                ("stderr", line.err, ended.stderr),
            )
            if (found := fault(self._filled_expected(expected), text))
        ]
        if ended.returncode != line.status:
            faults.insert(0, f"exit status {ended.returncode}, not {line.status}")
        assert not faults, "\n".join(
            [
                f"$ kubectl {self._filled(line.command)}",
                *faults,
                f"--- stdout\n{ended.stdout}",
                f"--- stderr\n{ended.stderr}",
            ]
        )
        if line.saves:
            self._saved[line.saves] = ended.stdout.strip()

    def _await(self, line: Line) -> None:
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        expected = self._filled_expected(line.out)
        output = self._output(line.job)
        while found := fault(expected, output.read_text()):
            text = output.read_text()
            assert time.monotonic() < deadline, f"{line.job} {found}\n--- output\n{text}"
            time.sleep(POLL_SECONDS)

    def _words(self, line: Line) -> list[str]:
        words = shlex.split(self._filled(line.command))
        context = (f"--context={line.user}",) if line.user else ()
        return [str(self._program), *context, *words]

    def _environment(self, line: Line) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if key not in _UNSET}
        editor = shlex.join([sys.executable, str(self._folder / EDITOR), *(line.edit or ())])
        return inherited | {
            "KUBECONFIG": str(self._folder / "kubeconfig"),
            "KUBECACHEDIR": str(self._folder.parent / f"cache-{self._program.name}"),
            "KUBE_EDITOR": editor,
            "HOME": str(self._folder),
        }

    def _output(self, job: str) -> Path:
        return self._folder / f"{job}.output"

    def _filled(self, text: str) -> str:
        return _VARIABLE.sub(lambda match: self._saved.get(match[1], match[0]), text)

    def _filled_expected(self, expected: Any) -> Any:
        def fill(text: str) -> str:
            return _VARIABLE.sub(
                lambda match: (
                    re.escape(self._saved[match[1]]) if match[1] in self._saved else match[0]
                ),
                text,
            )

        if isinstance(expected, tuple):
            return tuple(fill(one) for one in expected)
        return expected if expected is None else fill(expected)


def _end(job: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        job.kill()
    job.wait()


_VARIABLE = re.compile(r"\$([A-Za-z_]+)")
_UNSET = frozenset(("KUBECONFIG", "KUBECACHEDIR", "KUBE_EDITOR", "EDITOR", "KUBERNETES_MASTER"))

_EDITOR = """\
import sys
from pathlib import Path

*change, name = sys.argv[1:]
path = Path(name)
if change:
    before, after = change
    text = path.read_text()
    assert before in text, f"{before!r} is not in what is edited:\\n{text}"
    path.write_text(text.replace(before, after))
"""
