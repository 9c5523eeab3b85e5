# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about user namespaces and the sub-ids of rootless engines."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_PORT = "rootless-privileged-port"
_HELPER = "rootless-helper-missing"

_PARTS: tuple[Signature, ...] = (
    # rootlesskit of all versions, in Docker and podman; the second line in a JSON string.
    Signature(
        problem=_PORT,
        anchors=("cannot expose privileged port ",),
        pattern=r"privileged port (?P<port>\d{1,5})",
        summary="a user's engine may not take port {port}",
        reach=80,
    ),
    # pasta (podman 5) and slirp4netns.
    Signature(
        problem=_PORT,
        anchors=("ailed to bind port ", "ermission denied"),
        pattern=r"bind port (?P<port>\d{1,3}|10[01]\d|102[0-3])\b.{0,20}ermission denied",
        summary="a user's engine may not take port {port}",
        reach=100,
    ),
    # podman: slirp4netns to 4, pasta from 5 on; buildah.
    Signature(
        problem=_HELPER,
        anchors=("could not find ", "the network namespace"),
        pattern=r"could not find (?P<program>slirp4netns|pasta|rootlesskit)",
        summary="{program}, which connects a user's containers, is not installed",
        reach=120,
    ),
    Signature(
        problem=_HELPER,
        anchors=("executable file not found in $PATH",),
        pattern=r"exec: [\\\"']*(?P<program>slirp4netns|pasta|passt|rootlesskit|rootlessport"
        r"|fuse-overlayfs|vpnkit|catatonit|aardvark-dns)[\\\"']*: executable file not found",
        summary="{program}, which a user's engine runs, is not installed",
        reach=120,
    ),
    Signature(
        problem=_HELPER,
        anchors=("outdated version slirp4netns",),
        summary="slirp4netns is too old for this engine",
    ),
    # dockerd-rootless.sh.
    Signature(
        problem=_HELPER,
        anchors=("needs to be installed",),
        pattern=r"(?:Either )?(?P<program>slirp4netns|rootlesskit|vpnkit|newuidmap)\b.{0,60}"
        r"needs to be installed",
        unless=("newuidmap needs",),
        summary="{program}, which rootless Docker runs, is not installed",
        reach=120,
    ),
    # containers/storage, whose configuration names it.
    Signature(
        problem=_HELPER,
        anchors=("mount_program", "no such file or directory"),
        pattern=r"mount_program [\\\"']*(?P<program>/[^\s\\\"']+)[\\\"']* does not exist"
        r"|stat (?P<other>/\S*fuse-overlayfs): no such file",
        summary="fuse-overlayfs, which a user's engine runs, is not installed",
        reach=200,
    ),
)

ROOTLESS: tuple[Signature, ...] = (
    *_PARTS,
    # runc's libcontainer (configs/validate) for userns-remap.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("USER namespaces aren't enabled in the kernel",),
        summary="runc found no user namespaces in the kernel",
    ),
    # runc's nsexec, on EL 7 with userns-remap; the limit of 0 is reported as ENOSPC.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("ailed to unshare namespaces",),
        summary="runc could not make a user namespace",
        pattern=r"unshare namespaces: (?:Invalid argument|No space left)",
        reach=120,
    ),
    # runc 1.0 rc: the lines of nsexec.c that give up, in unshare(2) for a user namespace.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("running exec setns process for init caused",),
        summary="runc could not make its namespaces, as where user namespaces are off",
        pattern=r"for init caused \W*exit status (?:29|40)\b",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    Signature(
        problem="user-namespaces-disabled",
        anchors=("cannot clone: ",),
        summary="podman could not make a user namespace",
        pattern=r"cannot clone: (?:Invalid argument|No space left|Operation not permitted)",
        reach=120,
    ),
    # podman, buildah (containers/storage/pkg/unshare) as an ordinary user.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("user namespaces are not enabled in /proc/sys/",),
        summary="a rootless engine found user namespaces switched off",
    ),
    Signature(
        problem="user-namespaces-disabled",
        anchors=("max_user_namespaces", "to be set to"),
        summary="a rootless engine found too few user namespaces allowed",
        reach=200,
        certainty=Certainty.POSSIBLE,
    ),
    # unshare(1) of busybox: CLONE_NEWUSER in hexadecimal.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("unshare(0x10000000): ",),
        summary="unshare could not make a user namespace",
    ),
    # unshare(1): ENOSPC is the limit of namespaces, here 0.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("unshare failed: ",),
        summary="unshare could not make a user namespace",
        pattern=r"unshare failed: (?:No space left on device|Invalid argument)",
        reach=120,
    ),
    # bubblewrap, buildkit, rootlesskit, unshare(1).
    Signature(
        problem="user-namespaces-disabled",
        anchors=("No permissions to creat", "namespace"),
        summary="user namespaces are not allowed to ordinary users",
        pattern=r"No permissions to creat\w+ (?:a )?new namespace",
        reach=100,
    ),
    Signature(
        problem="user-namespaces-disabled",
        anchors=("kernel does not allow non-privileged user namespaces",),
        summary="user namespaces are not allowed to ordinary users",
    ),
    Signature(
        problem="user-namespaces-disabled",
        anchors=("failed to start the child: fork/exec /proc/self/exe: ",),
        summary="rootlesskit could not make a user namespace",
        pattern=r"fork/exec /proc/self/exe: (?:operation not permitted|no space left on device"
        r"|invalid argument)",
    ),
    # dockerd-rootless-setuptool.sh, in what it asks root to do.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("Missing system requirements", "sysctl"),
        summary="the rootless set-up asks for user namespaces to be allowed",
        pattern=r"kernel\.unprivileged_userns_clone ?= ?1|user\.max_user_namespaces ?= ?\d",
        reach=1500,
    ),
    # podman and crun.
    Signature(
        problem="user-namespaces-disabled",
        anchors=("unshare(CLONE_NEWUSER): ",),
        summary="podman could not make a user namespace",
        pattern=r"CLONE_NEWUSER\): (?:Operation not permitted|No space left|Invalid argument)",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        problem="user-namespaces-disabled",
        anchors=("Creating new namespace failed", "Operation not permitted"),
        summary="a program could not make a user namespace",
        reach=200,
        certainty=Certainty.POSSIBLE,
    ),
    # podman and rootlesskit, around newuidmap(1).
    Signature(
        problem="subuid-mapping-broken",
        anchors=("cannot set", "newuidmap"),
        summary="newuidmap refused the mapping of a rootless engine",
        pattern=r"cannot set ?up (?:the )?(?:user )?namespace using \W*(?:usr/bin/)?newuidmap",
        reach=200,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("should have setuid or have filecaps set",),
        summary="newuidmap or newgidmap lacks its privilege (setuid or file capability)",
        says=(("lacks", "privilege"),),
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("rootless single mapping into the namespace",),
        summary="podman found no sub-ids and mapped a single user",
        says=(("lacks", "ids"),),
        severity=Severity.WARNING,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("insufficient UIDs or GIDs available in user namespace",),
        says=(("lacks", "ids"),),
        summary="an image uses ids beyond the sub-ids of this user",
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("o subuid ranges found for user",),
        summary="/etc/subuid has no range for the user {user}",
        says=(("lacks", "ids"),),
        pattern=r"for user [\\\"']*(?P<user>[\w.@-]+)",
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("o subgid ranges found for group",),
        summary="/etc/subgid has no range for the group {user}",
        says=(("lacks", "ids"),),
        pattern=r"for group [\\\"']*(?P<user>[\w.@-]+)",
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("there might not be enough IDs available in the namespace",),
        says=(("lacks", "ids"),),
        summary="an image uses ids beyond the sub-ids of this user",
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("executable file not found in $PATH", "idmap"),
        summary="{program} is not installed",
        says=(("lacks", "privilege"),),
        pattern=r"(?P<program>new[ug]idmap)[\\\"']*: executable file not found",
        reach=120,
    ),
    # dockerd with userns-remap.
    Signature(
        problem="subuid-mapping-broken",
        anchors=("an't create ID mappings",),
        summary="dockerd found no sub-ids for userns-remap",
        says=(("lacks", "ids"),),
        reach=120,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("user creation: Error adding user",),
        pattern=r"Error during \W*(?P<user>\w+)\W* user creation",
        summary="dockerd could not make the user {user} for userns-remap",
        says=(("lacks", "ids"),),
        reach=120,
    ),
    # dockerd-rootless-setuptool.sh, in what it asks root to do.
    Signature(
        problem="subuid-mapping-broken",
        anchors=("# Add subuid entry for ",),
        summary="the rootless set-up asks for sub-ids for {user}",
        says=(("lacks", "ids"),),
        pattern=r"subuid entry for (?P<user>[\w.@-]+)",
        reach=120,
    ),
    # rootlesskit (rootless Docker, buildkit).
    Signature(
        problem="subuid-mapping-broken",
        anchors=("ailed to setup UID/GID map", "idmap"),
        summary="rootlesskit could not set up the mapping of ids",
        reach=300,
    ),
    # An image's file whose owner is beyond the range (podman, userns-remap).
    Signature(
        problem="subuid-mapping-broken",
        anchors=(": invalid argument", "lchown "),
        summary="an image uses ids beyond the sub-ids of this user",
        pattern=r"lchown \S+: invalid argument",
        reach=300,
    ),
    # newuidmap and newgidmap (shadow-utils) themselves.
    Signature(
        problem="subuid-mapping-broken",
        anchors=("idmap: open of ", "failed: Permission denied"),
        summary="newuidmap was refused the map of the process",
        reach=100,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("uidmap: uid range [", "not allowed"),
        summary="newuidmap refused a range that /etc/subuid does not give",
        says=(("lacks", "ids"),),
        reach=200,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("gidmap: gid range [", "not allowed"),
        summary="newgidmap refused a range that /etc/subgid does not give",
        says=(("lacks", "ids"),),
        reach=200,
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("newuidmap: write to uid_map failed: Operation not permitted",),
        summary="newuidmap lacks its privilege (setuid or file capability)",
        says=(("lacks", "privilege"),),
    ),
    Signature(
        problem="subuid-mapping-broken",
        anchors=("newgidmap: write to gid_map failed: Operation not permitted",),
        summary="newgidmap lacks its privilege (setuid or file capability)",
        says=(("lacks", "privilege"),),
    ),
)
