# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of dockerd that does not start, and of clients that do not reach it."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature
from hostkit_checks.daemon.client_messages import CLIENT
from hostkit_checks.daemon.file_messages import FILES
from hostkit_checks.daemon.program_messages import PROGRAMS

_STALE = "stale-docker-process"
_NO_CONTAINERD = "containerd-not-running"
_MACHINE = "docker-machine-virtualbox-failure"
_GENERIC = "daemon-failed-generic"

_CONFIGURATION: tuple[Signature, ...] = (
    # dockerd 1.10 and later, at start and at SIGHUP. What follows is Go's encoding/json.
    Signature(
        problem="daemon-json-invalid",
        anchors=("unable to configure the Docker daemon with file",),
        pattern=r"with file (?P<file>\S+?): (?P<reason>invalid character '[^']{1,12}'|EOF"
        r"|unexpected EOF|unexpected end of JSON input|json: cannot unmarshal \w+"
        r"|failed to decode|invalid UTF-8)",
        unless=("the following directives",),
        summary="dockerd cannot read {file}: {reason}",
        reach=240,
    ),
    # dockerd 1.10 and later: right JSON, wrong value.
    Signature(
        problem="daemon-json-invalid",
        anchors=("configuration validation",),
        pattern=r"(?:file|merged) configuration validation (?:from file and command line flags )?"
        r"failed",
        summary="dockerd refuses a value in daemon.json",
        reach=240,
    ),
    # dockerd 1.10 and later: a key that this version does not know, or no longer knows.
    Signature(
        problem="daemon-json-invalid",
        anchors=("the following directives don't match any configuration option",),
        pattern=r"configuration option: (?P<keys>[\w., -]{1,100}?)(?=[\s\"']*(?:\s\S|$|\"))",
        summary="dockerd does not know a key of daemon.json: {keys}",
        reach=240,
    ),
    Signature(
        problem="daemon-json-flag-conflict",
        anchors=("are specified both as a flag and in the configuration file",),
        pattern=r"configuration file: (?P<key>[\w-]+)",
        summary="{key} is set in daemon.json and on dockerd's command line",
    ),
)

_START: tuple[Signature, ...] = (
    # dockerd -H fd:// without a socket from systemd (go-systemd's activation).
    Signature(
        problem="systemd-socket-activation-missing",
        anchors=("no sockets found via socket activation",),
        summary="dockerd was to take its socket from systemd and got none",
    ),
    # systemd, starting docker.service, which wants docker.socket.
    Signature(
        problem="systemd-socket-activation-missing",
        anchors=("docker.socket",),
        pattern=r"[Uu]nit docker\.socket (?:not found|failed to load|is masked|could not be found)",
        summary="systemd has no usable docker.socket",
        reach=160,
    ),
    # systemd, docker.socket with SocketGroup=docker.
    # Newer ones quote the name.
    *(
        Signature(
            problem="systemd-socket-activation-missing",
            anchors=(anchor,),
            summary="docker.socket cannot be opened: there is no group docker",
        )
        for anchor in (
            "Failed to resolve group docker",
            "Failed to resolve group 'docker'",
            'Failed to resolve group "docker"',
        )
    ),
    # systemd, any unit whose Group= or SocketGroup= does not exist (systemd.exec(5)).
    Signature(
        problem="systemd-socket-activation-missing",
        anchors=("status=216/GROUP",),
        pattern=r"docker\.socket",
        summary="docker.socket cannot be given to its group, which does not exist",
        reach=300,
    ),
    Signature(
        problem="systemd-socket-activation-missing",
        anchors=("docker.socket",),
        pattern=r"docker\.socket.{0,120}status=216\b",
        summary="docker.socket cannot be given to its group, which does not exist",
        reach=200,
    ),
    Signature(
        problem="systemd-socket-activation-missing",
        anchors=("Failed to chown socket at step GROUP",),
        summary="docker.socket cannot be given to its group, which does not exist",
    ),
    # dockerd: first wording until 23.0, second ("still running") from 23.0 on.
    Signature(
        problem=_STALE,
        anchors=("ensure docker is not running or delete",),
        pattern=r"or delete (?P<file>/\S+?\.pid)",
        summary="{file} names a process that dockerd takes for another dockerd",
    ),
    Signature(
        problem=_STALE,
        anchors=("process with PID",),
        pattern=r"failed to start daemon.{0,160}?process with PID (?P<pid>\d+) is still running",
        summary="process {pid} is or looks like another dockerd",
        reach=240,
    ),
    # dockerd and systemd: somebody listens on the socket already.
    Signature(
        problem=_STALE,
        anchors=("docker.sock: bind: address already in use",),
        summary="another dockerd has the socket",
    ),
    Signature(
        problem=_STALE,
        anchors=("docker.socket: ",),
        pattern=r"docker\.socket: (?:Failed to (?:listen on sockets|create listening socket[^:]*): "
        r"Address already in use|Socket service docker\.service already active)",
        summary="a dockerd runs already and has the socket that systemd is to open",
        certainty=Certainty.POSSIBLE,
        reach=160,
    ),
    # dockerd 1.10 to 1.13, of a boltdb file that is locked.
    Signature(
        problem=_STALE,
        anchors=("Error starting daemon: timeout",),
        summary="another dockerd may hold the lock on a database of the data root",
        certainty=Certainty.POSSIBLE,
    ),
    # containerd 0.2, of a container that an earlier one left behind.
    Signature(
        problem=_STALE,
        anchors=("mkdir /run/containerd/",),
        pattern=r"mkdir /run/containerd/[0-9a-f]{12,64}: file exists",
        summary="an earlier containerd left the state of a container behind",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    # dockerd 1.11 to 18.06, which start a containerd of their own.
    Signature(
        problem=_STALE,
        anchors=("containerd is still running",),
        pattern=r"libcontainerd: (?:docker-)?containerd is still running,? ?(?:module=\S+ )?"
        r"(?:pid=(?P<pid>\d+))?",
        summary="an earlier containerd is still running",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd: the lock on a boltdb file is held by somebody else.
    Signature(
        problem=_STALE,
        anchors=("error while opening volume store metadata database",),
        pattern=r"metadata database(?: \(\S+\))?: timeout",
        reach=200,
        summary="another dockerd holds the lock on the volume database",
    ),
    # containerd 1.4 and later, each ten seconds until it gets the lock.
    Signature(
        problem=_STALE,
        anchors=("waiting for response from boltdb open",),
        summary="another containerd holds the lock on the database",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd, when a container with a missing socket as its volume made a folder of it.
    Signature(
        problem="docker-sock-not-a-socket",
        anchors=("an't create unix socket",),
        pattern=r"an't create unix socket (?P<path>/\S+): (?:is a directory"
        r"|remove \S+: (?:device or resource busy|directory not empty))",
        summary="{path} is a folder, or something is mounted there",
    ),
    # ls -l.
    Signature(
        problem="docker-sock-not-a-socket",
        anchors=("run/docker.sock",),
        pattern=r"(?:^| )d[rwxst-]{9}[.+]? \d+ .{1,80}? (?P<path>/(?:var/)?run/docker\.sock)",
        summary="{path} is a folder",
        reach=120,
    ),
)

_CONTAINERD: tuple[Signature, ...] = (
    # dockerd from 18.09, ctr, kubelet: the socket did not answer in time.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("failed to dial",),
        pattern=r"failed to dial \"?(?P<socket>\S*containerd\.sock)",
        summary="containerd does not answer on {socket}",
        reach=200,
    ),
    # dockerd 17.06 to 18.09; ctr.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("Failed to connect to containerd",),
        summary="dockerd cannot reach containerd",
    ),
    # dockerd that starts a containerd of its own, 1.11 and later.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("timeout waiting for containerd to start",),
        summary="containerd, started by dockerd, did not come up",
    ),
    # ctr, nerdctl.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("cannot access containerd socket",),
        pattern=r"containerd socket \"?(?P<socket>/[^\s\"]+)\"?: no such file",
        summary="nobody listens on {socket}",
        reach=200,
    ),
    # crictl.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("make sure you are running as root and the endpoint has been started",),
        pattern=r"unix://(?P<socket>/\S*containerd\.sock)",
        summary="nobody answers on {socket}",
        reach=200,
    ),
    # gRPC, when containerd went away under dockerd.
    *(
        Signature(
            problem=_NO_CONTAINERD,
            anchors=(anchor,),
            pattern=r"Error response from daemon|rpc error: code = (?:14|Unavailable)",
            summary="dockerd lost its connection to containerd",
            certainty=Certainty.POSSIBLE,
            reach=160,
        )
        for anchor in ("grpc: the connection is unavailable", "transport is closing")
    ),
    # systemd's frame around it.
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("Failed to start containerd container runtime",),
        summary="systemd says that containerd failed, and not why",
        generic=True,
    ),
    # gRPC clients of containerd. dockerd warns once at each healthy start ("Reconnecting").
    Signature(
        problem=_NO_CONTAINERD,
        anchors=("containerd.sock",),
        pattern=r"dial unix (?:unix://)?(?P<socket>/\S*containerd\.sock): "
        r"(?:connect: (?:connection refused|no such file or directory)|timeout)",
        unless=("Reconnecting", "createTransport", "containerd successfully booted"),
        summary="nobody listens on {socket}",
        reach=300,
    ),
)

_CLOUDS = ("amazonec2", "digitalocean", "azure", "AuthFailure", "openstack", "vmwarevsphere")
_DOCKER_MACHINE: tuple[Signature, ...] = (
    # docker-machine's VirtualBox driver, also inside Toolbox and Kitematic.
    Signature(
        problem=_MACHINE,
        anchors=("This computer doesn't have VT-X/AMD-v enabled",),
        summary="hardware virtualisation is off or hidden on this computer",
    ),
    Signature(
        problem=_MACHINE,
        anchors=("VBoxManage",),
        pattern=r"VBoxManage(?:\.exe)?:? (?:not found|error:)"
        r"|VBoxManage(?:\.exe)? \S+ [^\n]{0,160}?failed|[Nn]ot found[^.]{0,40}VBoxManage",
        summary="VirtualBox's VBoxManage failed",
        reach=300,
    ),
    # VirtualBox, without its kernel modules or without the processor's help.
    Signature(
        problem=_MACHINE,
        anchors=("The vboxdrv kernel module is not loaded",),
        summary="VirtualBox's kernel modules are not loaded",
    ),
    Signature(
        problem=_MACHINE,
        anchors=("(VERR_",),
        pattern=r"\((?P<error>VERR_(?:VMX_NO_VMX|VMX_MSR_\w+|VMM_\w+|SVM_\w+|NEM_\w+|VM_DRIVER_\w+"
        r"|INTNET_\w+))\)",
        summary="VirtualBox could not start a machine: {error}",
        reach=80,
    ),
    # docker-machine, any local driver.
    Signature(
        problem=_MACHINE,
        anchors=("Error creating machine:",),
        unless=_CLOUDS,
        summary="docker-machine could not create its virtual machine",
    ),
    Signature(
        problem=_MACHINE,
        anchors=("Error with pre-create check",),
        unless=_CLOUDS,
        summary="docker-machine found the computer not ready for a virtual machine",
    ),
    Signature(
        problem=_MACHINE,
        anchors=("make sure the machine and associated resources were properly removed",),
        unless=_CLOUDS,
        summary="docker-machine could not create its virtual machine",
        certainty=Certainty.POSSIBLE,
    ),
    *(
        Signature(
            problem=_MACHINE,
            anchors=(anchor,),
            unless=_CLOUDS,
            summary="docker-machine cannot reach its virtual machine, or start it",
            certainty=Certainty.POSSIBLE,
        )
        for anchor in (
            "Error checking TLS connection: ",
            "but Docker Machine could not reach it successfully",
            "Hyper-V is installed and is not compatible with VirtualBox",
            "Too many retries waiting for SSH to be available",
            "Unable to start the VM: ",
        )
    ),
    # boot2docker, before docker-machine.
    Signature(
        problem=_MACHINE,
        anchors=("boot2docker",),
        pattern=r"Failed to (?:start|initialize) machine \W*boot2docker-vm",
        summary="boot2docker could not start its virtual machine",
        reach=100,
    ),
    # Docker Toolbox's start script.
    Signature(
        problem=_MACHINE,
        anchors=("Looks like something went wrong",),
        pattern=r"went wrong(?: in step|\.\.\. Press any key)",
        summary="Docker Toolbox could not bring up its virtual machine",
        certainty=Certainty.POSSIBLE,
    ),
)

# systemd's frame around any failure of dockerd: it says that, never why.
_WRAPPERS: tuple[Signature, ...] = tuple(
    Signature(
        problem=_GENERIC,
        anchors=(anchor,),
        pattern=pattern,
        summary="systemd says that dockerd failed, and not why",
        generic=True,
        reach=200,
    )
    for anchor, pattern in (
        ("Job for docker.service", r"Job for docker\.service (?:failed|canceled)"),
        ("docker.service: Start request repeated too quickly", ""),
        ("start request repeated too quickly for docker.service", ""),
        ("Failed to start Docker Application Container Engine", ""),
        ("Dependency failed for Docker Application Container Engine", ""),
        ("docker.service: Failed with result", ""),
        ("Unit docker.service entered failed state", ""),
        ("A dependency job for docker.service failed", ""),
        ("docker.service: Unit entered failed state", ""),
        # EL 6's `service docker status`.
        ("docker dead but ", r"docker dead but (?:pid file exists|subsys locked)"),
        ("docker.service holdoff time over", ""),
        ("docker.service: Scheduled restart job, restart counter is at", ""),
        # dpkg, which starts the service it installs.
        ('initscript docker, action "start" failed', ""),
        ("error processing package docker", r"package docker(?:-ce|-engine|\.io) \(--configure\)"),
        ("docker.service: main process exited, code=exited", ""),
        ("docker.service: Main process exited, code=exited", ""),
        (
            "Docker Application Container Engine",
            r"Active: (?:failed|activating \(auto-restart\)) \(Result: ",
        ),
    )
)

SIGNATURES: tuple[Signature, ...] = (
    *_CONFIGURATION,
    *FILES,
    *_START,
    *_CONTAINERD,
    *CLIENT,
    *PROGRAMS,
    *_DOCKER_MACHINE,
    *_WRAPPERS,
)
