# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a bug report: all that is asked for, no secret, bounded, nothing started."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.cli import paste
from hostkit.cli.paste import Part, parts, render
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.facts.fact import Facts
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.host.answer import Known
from hostkit.report.model import Report
from tests.fakes import FakeHost

REPORT = Report(
    Diagnosis("web07", "live", ()), ("web07", "CentOS 7"), {}, "yum", "docker", "hostkit", 0
)

HOST = {
    "/etc/sysconfig/docker-storage": "DOCKER_STORAGE_OPTIONS=--storage-driver overlay2\n",
    "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
    "/etc/sysctl.d/99-sysctl.conf": "",
}


def said(host: FakeHost) -> str:
    return render(REPORT, parts(Facts(host)))


def test_what_maintainers_ask_for_is_there_or_said_to_be_missing() -> None:
    shown = said(FakeHost(HOST, commands={"uname -a": "Linux web07 3.10.0\n"}))
    for asked in (
        *("docker version", "docker info", "uname -a", "lvs -a", "vgs"),
        *("/etc/sysconfig/docker-storage", "/etc/sysconfig/docker-storage-setup"),
        *("systemctl status docker-storage-setup -l", "journalctl -u docker", "iptables-save"),
        *(
            "firewall-cmd --get-active-zones",
            "COMMAND_FAILED of firewalld",
            "sysctl -a | grep bridge",
        ),
        *("lsmod | grep br_netfilter", "/etc/sysctl.d", "hostkit doctor"),
    ):
        assert f"`{asked}" in shown or f"`ls {asked}" in shown, asked
    assert "Linux web07 3.10.0" in shown
    assert "net.bridge.bridge-nf-call-iptables = 1" in shown
    assert "99-sysctl.conf" in shown
    assert "- `/etc/sysconfig/docker-storage-setup`: does not exist" in shown


def test_nothing_is_started_to_answer() -> None:
    host = FakeHost(HOST)
    said(host)
    asked = {one.split()[1] for one in host.asked if one.startswith("run ")}
    assert "uname" in asked
    assert not asked & {"docker", "firewall-cmd", "lvs", "vgs"}


def test_a_daemon_that_runs_is_asked_and_its_warnings_are_kept() -> None:
    running = EngineProcesses((Process(42, "dockerd", ("/usr/bin/dockerd",)),))
    host = FakeHost(
        commands={"docker info": (" Storage Driver: overlay2\n", 0, "WARNING: No swap limit\n")}
    )
    facts = Facts(host, {ENGINE_PROCESSES: Known(running, "/proc")})
    shown = render(REPORT, parts(facts))
    assert " Storage Driver: overlay2\nWARNING: No swap limit\n" in shown
    assert "- `docker version`: " in shown  # there is no docker client that says so


def test_secrets_are_taken_out() -> None:
    options = "OPTIONS='--log-opt splunk-token=S3CRET'\nHTTP_PROXY=http://me:S3CRET@proxy:3128\n"
    shown = said(FakeHost({"/etc/sysconfig/docker-storage": options}))
    assert "S3CRET" not in shown
    assert "REDACTED" in shown


@pytest.mark.parametrize("tail", [False, True])
def test_it_is_bounded_and_says_so(tail: bool) -> None:
    long = "\n".join(f"line {number}" for number in range(20_000))
    shown = render(REPORT, [Part(f"command {n}", long, "", 12 << 10, tail) for n in range(20)])
    assert len(shown.encode()) <= paste.TOTAL_BYTES
    assert "... (cut off)" in shown
    assert ("line 19999" in shown) is tail
    assert "- `command 19`: left out" in shown


def test_a_fence_in_what_a_host_says_does_not_end_ours() -> None:
    shown = render(REPORT, [Part("cat x", "```\n# not a heading")])
    assert "\n````text\n```\n# not a heading\n````\n" in shown


@given(st.text(max_size=300), st.text(max_size=60), st.integers(0, 400))
def test_whatever_a_host_says_it_is_printable(words: str, title: str, limit: int) -> None:
    shown = render(REPORT, [Part(title, words, title, limit)])
    assert all(line == "" or line.isprintable() for line in shown.split("\n"))
    assert len(shown.encode()) <= paste.TOTAL_BYTES
