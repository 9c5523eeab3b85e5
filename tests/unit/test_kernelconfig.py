# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's configuration: from which file, unpacked within bounds, searched exactly."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts import kernelconfig
from hostkit.facts.kernelconfig import KERNEL_CONFIG, PLACES, KernelConfig, parse_config_gz
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

RELEASE = "3.10.0-693.el7.x86_64"
TEXT = b"""#
# Linux/x86 3.10.0 Kernel Configuration
#
CONFIG_64BIT=y
CONFIG_OVERLAY_FS=m
# CONFIG_AUFS_FS is not set
CONFIG_DEFAULT_HOSTNAME="(none)"
CONFIG_HZ=1000
CONFIG_BRIDGE=y
CONFIG_BRIDGE_NETFILTER=m
"""
OSRELEASE: dict[str, str | bytes] = {"/proc/sys/kernel/osrelease": RELEASE}


def test_symbols() -> None:
    config = KernelConfig(TEXT)
    assert [config.get(s) for s in ("64BIT", "OVERLAY_FS", "AUFS_FS", "NOSUCH", "HZ")] == [
        "y",
        "m",
        "n",
        "n",
        "n",
    ]
    assert config.get("CONFIG_OVERLAY_FS") == "m"
    assert config.value("DEFAULT_HOSTNAME") == '"(none)"'
    assert config.has("BRIDGE")


def test_a_symbol_is_not_found_inside_another() -> None:
    config = KernelConfig(b"CONFIG_IP_NF_NAT=m\nCONFIG_BRIDGE_NETFILTER=y\n# x CONFIG_VETH=y\n")
    assert not config.has("NF_NAT")
    assert not config.has("BRIDGE")
    assert not config.has("VETH")


def test_the_first_and_the_last_line_count() -> None:
    assert KernelConfig(b"CONFIG_A=y\nCONFIG_B=m").get("A") == "y"
    assert KernelConfig(b"CONFIG_A=y\nCONFIG_B=m").get("B") == "m"


@pytest.mark.parametrize("place", PLACES)
def test_every_known_place(place: str) -> None:
    path = place.format(release=RELEASE)
    answer = make_facts({**OSRELEASE, path: TEXT}).get(KERNEL_CONFIG)
    assert isinstance(answer, Known)
    assert answer.source == path


def test_the_running_kernels_own_word_comes_first() -> None:
    files = {**OSRELEASE, "/proc/config.gz": gzip.compress(TEXT), f"/boot/config-{RELEASE}": "x"}
    assert make_facts(files).get(KERNEL_CONFIG).source == "/proc/config.gz"


def test_the_configuration_of_another_kernel_is_not_taken() -> None:
    files = {
        **OSRELEASE,
        "/boot/config-3.10.0-1160.el7.x86_64": TEXT,
        "/usr/src/linux/.config": TEXT,
    }
    assert isinstance(make_facts(files).get(KERNEL_CONFIG), Absent)


def test_unreadable_is_never_everything_missing() -> None:
    facts = make_facts(OSRELEASE, unreadable=["/proc/config.gz"])
    assert isinstance(facts.get(KERNEL_CONFIG), Unreadable)
    facts = make_facts({**OSRELEASE, f"/boot/config-{RELEASE}": "an empty page\n"})
    assert isinstance(facts.get(KERNEL_CONFIG), Unreadable)


def test_an_unreadable_first_place_is_made_good_by_a_later_one() -> None:
    facts = make_facts(
        {**OSRELEASE, f"/boot/config-{RELEASE}": TEXT}, unreadable=["/proc/config.gz"]
    )
    assert facts.value(KERNEL_CONFIG).get("OVERLAY_FS") == "m"


def test_a_release_with_a_slash_opens_no_other_file() -> None:
    facts = make_facts({"/proc/sys/kernel/osrelease": "1.2-../../etc/shadow"})
    assert isinstance(facts.get(KERNEL_CONFIG), Unreadable)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernelconfig, "SIZE_LIMIT", 1000)
    with pytest.raises(ValueError, match="larger than"):
        parse_config_gz(gzip.compress(b"CONFIG_A=y\n" * 1000))


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"not gzip", gzip.compress(TEXT)[:-9]])
def test_broken_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_config_gz(data)


@given(st.binary(max_size=300), st.text(alphabet="ABC_19", max_size=8))
def test_any_bytes(data: bytes, symbol: str) -> None:
    try:
        parse_config_gz(data)
    except ValueError:
        pass
    assert KernelConfig(data).get(symbol) in ("y", "m", "n")


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True), st.sampled_from("ymn"))
)
def test_what_was_written_is_read(symbols: dict[str, str]) -> None:
    lines = [
        f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"
        for name, value in symbols.items()
    ]
    config = KernelConfig("\n".join(lines).encode())
    assert {name: config.get(name) for name in symbols} == symbols


def test_unpacking_uses_zlib_alone() -> None:
    """Gzip's module costs milliseconds of start-up."""
    assert vars(kernelconfig)["zlib"] is zlib
    assert "gzip" not in vars(kernelconfig)
