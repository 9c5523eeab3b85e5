# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets: owner, mode, listener; and who asks."""

from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.sockets import (
    SOCKETS,
    Caller,
    parse_caller,
    parse_group_file,
    parse_net_unix,
)
from tests.fakes import fake_stat, make_facts

UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 18522 /var/run/docker.sock
0000000000000000: 00000003 00000000 00000000 0001 03 18523
0000000000000000: 00000002 00000000 00010000 0001 01 18524 @/abstract
"""
STATUS = (
    "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t10 994 \n"
)


def test_a_socket_with_its_group_and_its_listener() -> None:
    facts = make_facts(
        {"/etc/group": "root:x:0:\ndocker:x:994:\n", "/proc/net/unix": UNIX},
        stats={"/run/docker.sock": fake_stat("socket", mode=0o660, gid=994)},
    )
    socket = facts.value(SOCKETS).get("/var/run/docker.sock")
    assert socket is not None
    assert (socket.group, socket.listening, socket.mode) == ("docker", True, 0o660)
    assert facts.value(SOCKETS).docker_gid == 994


def test_a_socket_that_nobody_listens_on_is_told_from_one_that_is_not_known() -> None:
    stats = {"/run/docker.sock": fake_stat("socket")}
    silent = make_facts({"/proc/net/unix": "Num\n"}, stats=stats).value(SOCKETS)
    hidden = make_facts(stats=stats, unreadable=["/proc/net/unix"]).value(SOCKETS)
    assert [one.listening for one in (*silent.sockets, *hidden.sockets)] == [False, None]


def test_var_run_that_is_no_link_is_looked_at() -> None:
    facts = make_facts(stats={"/var/run/docker.sock": fake_stat("socket")})
    assert facts.value(SOCKETS).get("/run/docker.sock") is not None


def test_the_caller_has_its_groups() -> None:
    assert parse_caller(STATUS) == Caller(1000, (1000, 10, 994))


@given(st.text())
def test_any_text_is_read_or_refused(content: str) -> None:
    parse_net_unix(content)
    parse_group_file(content)
    try:
        parse_caller(content)
    except (ValueError, LookupError):
        pass
