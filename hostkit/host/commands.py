# SPDX-License-Identifier: GPL-3.0-or-later
"""The closed table of commands that the reading half may run. All of them only read.

`touches` says what a command may load or wake although it only reads; the fact that
uses such a command asks first whether that is there already (docs/architecture.md).
"""

from hostkit.value import NamedTuple


class Command(NamedTuple):
    """One read-only command; words given at the call are appended to `argv`.

    `ok` are the exit statuses with which the output can be trusted; `root`: without
    root it answers little or nothing; `unprivileged`: it is never run as root, who would
    write. `timeout` is in seconds, `limit` in bytes.
    """

    argv: tuple[str, ...]
    timeout: float = 5.0
    limit: int = 4 << 20
    ok: tuple[int, ...] = (0,)
    root: bool = False
    unprivileged: bool = False
    touches: str = ""


IPTABLES_VERSION = Command(("iptables", "--version"))

# Engines, packages, units (facts/engine.py, packages.py, units.py).
DOCKERD_VERSION = Command(("dockerd", "--version"))
CONTAINERD_VERSION = Command(("containerd", "--version"))
PODMAN_VERSION = Command(("podman", "--version"))
# The exit status counts the names that are not installed.
RPM_QUERY = Command(
    (
        "rpm",
        "-q",
        "--queryformat",
        "%{NAME}\\t%|EPOCH?{%{EPOCH}}:{0}|\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\n",
    ),
    timeout=10.0,
    ok=tuple(range(256)),
    unprivileged=True,
    touches="root's query writes the region files of a Berkeley DB, the -shm of an SQLite one",
)
SYSTEMCTL_SHOW = Command(("systemctl", "show", "--no-pager"))

# What maintainers ask for (cli/paste.py), which asks first whether the daemon runs: a socket
# unit would start dockerd, and D-Bus firewalld.
_DAEMON = "starts the daemon when it does not run"
DOCKER_INFO = Command(("docker", "info"), timeout=15.0, ok=(0, 1), touches=_DAEMON)
DOCKER_VERSION = Command(("docker", "version"), timeout=15.0, ok=(0, 1), touches=_DAEMON)
FIREWALL_ZONES = Command(
    ("firewall-cmd", "--get-active-zones"), timeout=10.0, root=True, touches=_DAEMON
)
STORAGE_SETUP_STATUS = Command(
    ("systemctl", "status", "docker-storage-setup", "-l", "--no-pager"), ok=(0, 3)
)
UNAME_ALL = Command(("uname", "-a"))

# Block devices, device-mapper, LVM. The dm and LVM tools create /dev/mapper/control and open
# it, which loads dm_mod; the facts ask /proc/misc first. `dmsetup status` without --noflush
# makes a thin pool commit its metadata (dmsetup(8)).
_DM = "loads dm_mod and creates /dev/mapper/control when they are not there"
DMSETUP_STATUS_POOLS = Command(
    ("dmsetup", "status", "--noflush", "--target", "thin-pool"), root=True, touches=_DM
)
DMSETUP_TABLE_POOLS = Command(("dmsetup", "table", "--target", "thin-pool"), root=True, touches=_DM)
DMSETUP_TARGETS = Command(("dmsetup", "targets"), root=True, touches=_DM)
_LSBLK = "NAME,KNAME,PKNAME,MAJ:MIN,TYPE,FSTYPE,LABEL,UUID,SIZE"
LSBLK_JSON = Command(("lsblk", "-J", "-b", "-o", _LSBLK))
LSBLK_PAIRS = Command(("lsblk", "-P", "-b", "-o", _LSBLK))  # util-linux 2.23 has no -J
_LVM_TOO = f"{_DM}; may start lvmetad, and dmeventd for seg_monitor"
# Without it a mere look may rewrite /etc/lvm/cache/.cache and /etc/lvm/backup (EL6, EL7).
_LVM_WRITES_NOTHING = "devices{write_cache_state=0} backup{backup=0 archive=0}"
_LVM = (
    *("--config", _LVM_WRITES_NOTHING),
    *("--noheadings", "--nosuffix", "--units", "b", "--separator", "|"),
)
LVS = Command(("lvs", *_LVM, "-a", "-o"), timeout=10.0, root=True, touches=_LVM_TOO)
PVS = Command(
    ("pvs", *_LVM, "-o", "pv_name,vg_name,pv_size,pv_free,pv_attr"),
    timeout=10.0,
    root=True,
    touches=_LVM_TOO,
)
VGS = Command(
    ("vgs", *_LVM, "-o", "vg_name,vg_size,vg_free,vg_extent_size,vg_attr"),
    timeout=10.0,
    root=True,
    touches=_LVM_TOO,
)
XFS_INFO = Command(("xfs_info",))

# The machine (facts/machine.py), where no file names the architecture.
UNAME_MACHINE = Command(("uname", "-m"))

# The packet filter. Each loads the modules it wants; facts/netfilter.py asks /proc first.
_FILTER = "loads ip_tables or nf_tables when the kernel does not have them yet"
_RULES = 32 << 20  # 50,000 rules are 5 MB as text and 25 as JSON
IPTABLES_SAVE = Command(("iptables-save", "-c"), limit=_RULES, root=True, touches=_FILTER)
IP6TABLES_SAVE = Command(("ip6tables-save", "-c"), limit=_RULES, root=True, touches=_FILTER)
IPTABLES_LEGACY_SAVE = Command(
    ("iptables-legacy-save", "-c"), limit=_RULES, root=True, touches=_FILTER
)
IP6TABLES_LEGACY_SAVE = Command(
    ("ip6tables-legacy-save", "-c"), limit=_RULES, root=True, touches=_FILTER
)
IPTABLES_NFT_SAVE = Command(("iptables-nft-save", "-c"), limit=_RULES, root=True, touches=_FILTER)
IP6TABLES_NFT_SAVE = Command(("ip6tables-nft-save", "-c"), limit=_RULES, root=True, touches=_FILTER)
NFT_LIST = Command(("nft", "list", "ruleset"), limit=_RULES, root=True, touches=_FILTER)
NFT_LIST_JSON = Command(("nft", "-j", "list", "ruleset"), limit=_RULES, root=True, touches=_FILTER)

# Logs (facts/logs.py). Newest first, so that what is cut off is the oldest. systemd 219
# (CentOS 7) has no --output-fields.
DMESG = Command(("dmesg",), root=True)
_JOURNAL = ("journalctl", "-b", "-r", "-n", "2000", "-o", "json", "--no-pager", "-q")
JOURNAL_KERNEL = Command((*_JOURNAL, "-k"), timeout=10.0)
JOURNAL_UNITS = Command(
    (
        *_JOURNAL,
        *("-u", "docker.service"),
        *("-u", "docker.socket"),
        *("-u", "containerd.service"),
        *("-u", "docker-storage-setup.service"),
        *("-u", "firewalld.service"),
        *("-u", "podman.service"),
    ),
    timeout=10.0,
)
