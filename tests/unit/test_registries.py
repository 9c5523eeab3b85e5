# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors, proxies and package repositories as they are configured."""

from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.proxies import PROXIES, without_credentials
from hostkit.facts.registries import REGISTRIES, Mirror, registries_of
from hostkit.facts.repositories import (
    REPOSITORIES,
    parse_repo_file,
    parse_sources,
    parse_sources_list,
)
from hostkit.facts.tomlfile import parse_toml
from hostkit.host.answer import Absent, Unreadable
from tests.fakes import make_facts

MAIN = "/etc/containers/registries.conf"
DROP_IN = "/etc/systemd/system/docker.service.d/proxy.conf"
UNIT = {"/usr/lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd\n"}
OLD_FORMAT = '[registries.insecure]\nregistries = ["reg.example.org:5000"]\n'
REPO = """[main]
enabled=1
[base]
name=CentOS-$releasever - Base
mirrorlist=http://mirrorlist.centos.org/?release=$releasever&arch=$basearch&repo=os
#baseurl=http://mirror.centos.org/centos/$releasever/os/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7

[extras]
baseurl=http://user:secret@mirror.example.org/extras/
        http://mirror.centos.org/centos/7/extras/
Enabled = no
"""


def test_mirrors_of_daemon_json_know_their_line() -> None:
    content = '{\n"registry-mirrors": ["https://bob:pw@m.example.org/"]}'
    registries = make_facts({"/etc/docker/daemon.json": content}).value(REGISTRIES)
    assert registries.mirrors == (
        Mirror("https://***@m.example.org/", "/etc/docker/daemon.json", 2),
    )
    assert registries.mirrors[0].host == "m.example.org"


def test_podmans_old_format_is_read() -> None:
    facts = make_facts({MAIN: OLD_FORMAT})
    (only,) = facts.value(REGISTRIES).insecure
    assert (only.host, only.source, only.line) == ("reg.example.org", MAIN, 2)


def test_a_drop_in_of_podman_adds_its_mirror_and_replaces_the_same_prefix() -> None:
    facts = make_facts(
        {
            MAIN: _registry("docker.io", "old.example.org") + _registry("quay.io", "q.example.org"),
            f"{MAIN}.d/50-ours.conf": "# ours\n" + _registry("docker.io", "dockerhub.azk8s.cn"),
            f"{MAIN}.d/README": "not read\n",
        }
    )
    mirrors = facts.value(REGISTRIES).mirrors
    assert [(one.location, one.source, one.line) for one in mirrors] == [
        ("dockerhub.azk8s.cn", f"{MAIN}.d/50-ours.conf", 5),
        ("q.example.org", MAIN, 8),
    ]


def test_a_broken_drop_in_is_said_beside_what_the_others_name() -> None:
    facts = make_facts({MAIN: _registry("docker.io", "m"), f"{MAIN}.d/a.conf": "[[registry\n"})
    (fault,) = facts.value(REGISTRIES).unreadable
    assert fault.source == f"{MAIN}.d/a.conf"


def _registry(location: str, mirror: str) -> str:
    return f'[[registry]]\nlocation = "{location}"\n[[registry.mirror]]\nlocation = "{mirror}"\n'


def test_a_broken_file_is_not_a_host_without_mirrors() -> None:
    facts = make_facts({"/etc/containers/registries.conf": "[[registry\n"})
    assert isinstance(facts.get(REGISTRIES), Unreadable)
    assert isinstance(make_facts().get(REGISTRIES), Absent)


def test_the_daemons_proxy_comes_from_its_drop_in_without_the_password() -> None:
    line = '[Service]\nEnvironment="HTTPS_PROXY=http://bob:s3@cret@proxy:3128" "no_proxy=a"\n'
    proxies = make_facts({**UNIT, DROP_IN: line}).value(PROXIES)
    proxy, no_proxy = proxies.get("https-proxy"), proxies.get("no-proxy")
    assert proxy is not None
    assert "cret" not in proxy.value
    assert proxy.value.endswith("@proxy:3128")
    assert (proxy.source, proxy.line) == (DROP_IN, 2)
    assert no_proxy is not None


def test_daemon_json_wins_over_the_environment() -> None:
    files = {
        **UNIT,
        DROP_IN: "[Service]\nEnvironment=HTTP_PROXY=http://old:1\n",
        "/etc/docker/daemon.json": '{"proxies": {"http-proxy": "http://new:2"}}',
    }
    proxy = make_facts(files).value(PROXIES).get("http-proxy")
    assert proxy is not None
    assert proxy.value == "http://new:2"


def test_a_password_in_any_form_is_cut_out() -> None:
    for secret in ("http://bob:pw@h:1", "bob:pw@h:1", "https://tok%40en@h/", "http://a:p@w@h"):
        assert "pw" not in without_credentials(secret)
        assert "tok" not in without_credentials(secret)
        assert "***@" in without_credentials(secret)
    assert without_credentials("localhost,127.0.0.1,.example.org") == (
        "localhost,127.0.0.1,.example.org"
    )


def test_a_repo_file_has_switches_urls_and_lines() -> None:
    base, extras = parse_repo_file(REPO, "f")
    assert (base.id, base.line, base.enabled, base.gpg_check) == ("base", 3, True, True)
    assert base.mirror_list.startswith("http://mirrorlist.centos.org/")
    assert base.base_urls == ()
    assert not extras.enabled
    assert extras.base_urls == (
        "http://***@mirror.example.org/extras/",
        "http://mirror.centos.org/centos/7/extras/",
    )


def test_apt_in_both_formats() -> None:
    lists = (
        "# deb http://no/ x main\ndeb [signed-by=/k] http://h/debian buster main\ndeb-src x y z\n"
    )
    assert [(r.id, r.line) for r in parse_sources_list(lists, "f")] == [("buster", 2)]
    assert parse_sources_list("deb\t[ arch=amd64 ]\thttp://h/d sid\tmain\n", "f")[0].id == "sid"
    stanza = "# c\nTypes: deb deb-src\nURIs: http://h/debian\nSuites: a b\n\nTypes: deb-src\n"
    assert [(r.id, r.line) for r in parse_sources(stanza, "f")] == [("a", 2), ("b", 2)]


def test_repositories_of_all_files_are_listed() -> None:
    facts = make_facts(
        {
            "/etc/yum.repos.d/a.repo": REPO,
            "/etc/yum.repos.d/a.repo.rpmsave": "[gone]\nbaseurl=http://x/\n",
            "/etc/apt/sources.list": "deb http://h/debian sid main\n",
        }
    )
    found = facts.value(REPOSITORIES)
    assert [one.id for one in found.repositories] == ["base", "extras", "sid"]
    assert [one.id for one in found.enabled()] == ["base", "sid"]
    assert isinstance(make_facts().get(REPOSITORIES), Absent)


@given(st.text() | st.text("[]\n=#; \tabc:./"))
def test_any_text_is_read_or_refused(content: str) -> None:
    parse_repo_file(content, "f")
    parse_sources_list(content, "f")
    parse_sources(content, "f")
    without_credentials(content)
    registries_of(parse_toml(content.encode("utf-8", "replace"), "f"))
