# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of clients that do not reach the daemon, or not the one they mean."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

_NO_DAEMON = "daemon-not-running"
_WRONG_HOST = "docker-host-mismatch"
_SOCKET_RIGHTS = "docker-sock-permission"

# What a client sees of a daemon that is down hides why it is: generic.
CLIENT: tuple[Signature, ...] = (
    # docker CLI: 1.7 and earlier, to 1.12, from 1.13.
    Signature(
        problem=_NO_DAEMON,
        anchors=("Cannot connect to the Docker daemon",),
        pattern=r"Cannot connect to the Docker daemon"
        r"(?:\. Is| at unix:///(?:var/)?run/docker\.sock)",
        unless=("DOCKER_HOST=", "permission denied"),
        summary="the client reaches no daemon on this host's socket",
        generic=True,
        reach=300,
    ),
    # docker CLI 28.4 and later, and compose and buildx built with that client.
    Signature(
        problem=_NO_DAEMON,
        anchors=("failed to connect to the docker API at unix",),
        pattern=r"docker API at unix:///(?:var/)?run/docker\.sock",
        unless=("permission denied",),
        summary="the client reaches no daemon on this host's socket",
        generic=True,
        reach=300,
    ),
    # Any Go client.
    Signature(
        problem=_NO_DAEMON,
        anchors=("docker.sock: ",),
        pattern=r"dial unix /(?:var/)?run/docker\.sock: (?:connect: )?"
        r"(?:no such file or directory|connection refused)",
        summary="nobody listens on /var/run/docker.sock",
        generic=True,
        reach=120,
    ),
    # docker-compose 1.x (Python).
    Signature(
        problem=_NO_DAEMON,
        anchors=("Couldn't connect to Docker daemon",),
        pattern=r"Docker daemon(?: at http\+(?:docker|unix)://\S+)?(?: -|\.| )",
        unless=("DOCKER_HOST=", "at https://", "at http://"),
        summary="docker-compose reaches no daemon on this host's socket",
        generic=True,
        reach=200,
    ),
    # docker-py, so docker-compose 1.x and Ansible.
    Signature(
        problem=_NO_DAEMON,
        anchors=("Error while fetching server API version", "Connection aborted."),
        pattern=r"FileNotFoundError|ConnectionRefusedError|error\(2,|error\(111,",
        summary="a Python client reaches no daemon on this host's socket",
        generic=True,
        reach=300,
    ),
    # systemctl.
    Signature(
        problem=_NO_DAEMON,
        anchors=("docker.service",),
        pattern=r"[Uu]nit docker\.service is masked"
        r"|(?:start|restart|enable) docker\.service: Unit is masked",
        summary="docker.service is masked: nothing can start it",
        reach=120,
        says=(("docker", "masked"),),
    ),
    Signature(
        problem=_NO_DAEMON,
        anchors=("docker.service",),
        pattern=r"[Uu]nit docker\.service (?:could not be found|not found)"
        r"|(?:start|restart) docker\.service: Unit not found",
        summary="systemd knows no docker.service: Docker is not installed, or not as a service",
        reach=120,
        says=(("docker", "absent"),),
    ),
    # Node.js.
    Signature(
        problem=_NO_DAEMON,
        anchors=("docker.sock",),
        pattern=r"connect (?:ENOENT|ECONNREFUSED) \S*docker\.sock",
        summary="nobody listens on /var/run/docker.sock",
        reach=120,
    ),
    # Any client on Windows, and Docker Desktop's own proxy.
    Signature(
        problem=_NO_DAEMON,
        anchors=("/pipe/docker",),
        pattern=r"open //\./pipe/docker\w*: The system cannot find the file specified",
        summary="Docker Desktop does not run: nobody listens on its pipe",
        reach=200,
    ),
    Signature(
        problem=_NO_DAEMON,
        anchors=("docker.raw.sock: connect: ",),
        summary="Docker Desktop's engine does not run",
    ),
    # testcontainers.
    Signature(
        problem=_NO_DAEMON,
        anchors=("Could not find a valid Docker environment",),
        summary="testcontainers reaches no daemon",
        certainty=Certainty.POSSIBLE,
    ),
    # podman's remote client.
    Signature(
        problem=_NO_DAEMON,
        anchors=("annot connect to Podman",),
        summary="the client reaches no Podman service",
        certainty=Certainty.POSSIBLE,
    ),
    # docker CLI from 1.12 on; from 28.4 "the docker API at".
    Signature(
        problem=_SOCKET_RIGHTS,
        anchors=("permission denied while trying to connect to the",),
        pattern=r"connect to the (?:Docker daemon socket|docker API)",
        summary="this user may not open the daemon's socket",
    ),
    # Any Go client.
    Signature(
        problem=_SOCKET_RIGHTS,
        anchors=("docker.sock: ",),
        pattern=r"dial unix \S*docker\.sock: (?:connect: )?permission denied",
        summary="this user may not open the daemon's socket",
        reach=120,
    ),
    # Node.js; any client on Windows.
    Signature(
        problem=_SOCKET_RIGHTS,
        anchors=("docker.sock",),
        pattern=r"connect EACCES \S*docker\.sock",
        summary="this user may not open the daemon's socket",
        reach=120,
    ),
    Signature(
        problem=_SOCKET_RIGHTS,
        anchors=("/pipe/docker",),
        pattern=r"open //\./pipe/docker\w*: Access is denied",
        summary="this user may not open the daemon's pipe",
        reach=200,
    ),
    # docker-py.
    Signature(
        problem=_SOCKET_RIGHTS,
        anchors=("Connection aborted.",),
        pattern=r"(?:docker|API version)[^|]{0,300}? \W*Connection aborted\.', "
        r"(?:PermissionError|error)\(13, 'Permission denied'\)",
        summary="this user may not open the daemon's socket",
    ),
    # docker CLI: the endpoint that DOCKER_HOST, -H or the context names.
    Signature(
        problem=_WRONG_HOST,
        anchors=("Cannot connect to the Docker daemon",),
        pattern=r"Docker daemon at (?P<endpoint>(?:tcp|ssh|https?)://[^\s'\"]+"
        r"|unix:///(?!(?:var/)?run/docker\.sock)[^\s'\"]+?)\. ",
        summary="the client asks {endpoint}, where no daemon answers",
        reach=300,
    ),
    Signature(
        problem=_WRONG_HOST,
        anchors=("Cannot connect to the Docker daemon", "DOCKER_HOST="),
        pattern=r"DOCKER_HOST=[\"']?(?P<endpoint>[a-z]+://[^\s\"']+)",
        summary="DOCKER_HOST sends the client to {endpoint}, where no daemon answers",
        reach=400,
    ),
    Signature(
        problem=_WRONG_HOST,
        anchors=("failed to connect to the docker API at",),
        pattern=r"docker API at (?P<endpoint>(?:tcp|ssh|https?)://[^\s;'\"]+"
        r"|unix:///(?!(?:var/)?run/docker\.sock)[^\s;'\"]+)",
        summary="the client asks {endpoint}, where no daemon answers",
        reach=300,
    ),
    # docker CLI against a daemon that speaks TLS.
    Signature(
        problem=_WRONG_HOST,
        anchors=("Are you trying to connect to a TLS-enabled daemon without TLS",),
        unless=("dial unix",),
        summary="the client speaks plain HTTP to a daemon that wants TLS",
        certainty=Certainty.POSSIBLE,
    ),
    # docker CLI 17.06 and later, over TCP.
    Signature(
        problem=_WRONG_HOST,
        anchors=("error during connect:",),
        pattern=r"https?://(?P<endpoint>[^/\s\"]+:237[56])/.{0,200}?"
        r"(?:connection refused|i/o timeout|no route to host|no such host"
        r"|HTTP request to an HTTPS|actively refused it)",
        summary="the client asks {endpoint}, where no daemon answers",
        reach=400,
    ),
    # Any Go client, of the ports that are Docker's.
    *(
        Signature(
            problem=_WRONG_HOST,
            anchors=(f"{port}: ",),
            pattern=rf"dial tcp (?P<endpoint>[^ ]{{1,255}}{port}): .{{0,100}}?(?:refused"
            r"|i/o timeout|no route to host|network is unreachable)",
            unless=("validating certificates for host", "docker-machine"),
            summary="the client asks {endpoint}, where no daemon answers",
            reach=160,
        )
        for port in (":2375", ":2376")
    ),
    # docker CLI 1.8 to 1.12, over TCP.
    Signature(
        problem=_WRONG_HOST,
        anchors=("An error occurred trying to connect:",),
        pattern=r"https?://(?P<endpoint>[^/\s\"]+:(?:237[56]|4243))/.{0,200}?(?:connection refused"
        r"|i/o timeout|no route to host|actively refused it|oversized record|x509:)",
        summary="the client asks {endpoint}, where no such daemon answers",
        reach=400,
    ),
    # docker CLI 18.09 and later, over ssh.
    Signature(
        problem=_WRONG_HOST,
        anchors=("docker system dial-stdio", "has exited with"),
        summary="the client reaches no daemon over ssh",
        reach=200,
    ),
    # The same: plain HTTP to a TLS port, and TLS to a plain one.
    Signature(
        problem=_WRONG_HOST,
        anchors=("Client sent an HTTP request to an HTTPS server",),
        pattern=r"Error response from daemon: Client sent|docker",
        summary="the client speaks plain HTTP to a daemon that wants TLS",
        reach=160,
    ),
    Signature(
        problem=_WRONG_HOST,
        anchors=("error during connect:", "server gave HTTP response to HTTPS client"),
        summary="the client speaks TLS to a daemon that does not",
        reach=300,
    ),
    # docker CLI 19.03 and later.
    Signature(
        problem=_WRONG_HOST,
        anchors=("nable to resolve docker endpoint",),
        summary="the client's current context names no usable endpoint",
    ),
    # docker CLI: the daemon closed the connection without an answer.
    Signature(
        problem="daemon-connection-eof",
        anchors=("Error response from daemon:",),
        pattern=r"Error response from daemon: (?:unexpected )?EOF(?!\w)",
        summary="the connection to the daemon, or the daemon's own, ended without an answer",
        certainty=Certainty.POSSIBLE,
        reach=60,
    ),
    Signature(
        problem="daemon-connection-eof",
        anchors=("error during connect:",),
        pattern=r"docker\.sock[^ ]*: (?:unexpected )?EOF(?!\w)",
        summary="the daemon ended the connection without an answer",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # docker CLI 1.8 to 1.12.
    Signature(
        problem="daemon-connection-eof",
        anchors=("An error occurred trying to connect:",),
        pattern=r"docker\.sock/\S+: (?:unexpected )?EOF(?!\w)",
        summary="the daemon ended the connection without an answer",
        certainty=Certainty.POSSIBLE,
        reach=200,
    ),
    # docker events and docker run, attached to a daemon.
    Signature(
        problem="daemon-connection-eof",
        anchors=("error getting events from daemon: ",),
        pattern=r"events from daemon: (?:unexpected )?EOF(?!\w)",
        summary="the daemon ended the connection of an attached client",
        certainty=Certainty.POSSIBLE,
        reach=80,
    ),
    Signature(
        problem="daemon-connection-eof",
        anchors=("error waiting for container: ",),
        pattern=r"waiting for container: (?:unexpected )?EOF(?!\w)",
        reach=80,
        summary="the daemon ended the connection of an attached client",
        certainty=Certainty.POSSIBLE,
    ),
    # docker-py, so docker-compose 1.x and Ansible.
    Signature(
        problem="daemon-connection-eof",
        anchors=("Connection aborted.", "Remote end closed connection without response"),
        pattern=r"docker",
        summary="the daemon ended the connection without an answer",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # The same, seen by a client that was still writing.
    Signature(
        problem="daemon-connection-eof",
        anchors=("error during connect:", "connection reset by peer"),
        pattern=r"docker\.sock: (?:read|write): connection reset by peer",
        summary="the daemon cut the connection off without an answer",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
)
