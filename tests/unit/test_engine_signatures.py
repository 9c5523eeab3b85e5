# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine, package tools and registries' clients print, and what they do not mean."""

import json
from pathlib import Path

import pytest

from hostkit.diagnosis.doctor import Text, suspects
from hostkit_checks.daemon import signatures as daemon
from hostkit_checks.packages import signatures as packages
from hostkit_checks.registry import signatures as registry

SIGNATURES = (*daemon.SIGNATURES, *packages.SIGNATURES, *registry.SIGNATURES)
MINE = frozenset(signature.problem for signature in SIGNATURES)


def problems(text: str) -> list[str]:
    return [one.problem for one in suspects([Text("text", text.splitlines())], SIGNATURES)]


SAID: tuple[tuple[str, str], ...] = (
    (
        "daemon-json-invalid",
        "unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid "
        "character '}' looking for beginning of object key string",
    ),
    (
        "daemon-json-invalid",
        "Failed to start daemon... unable to configure the Docker daemon with file "
        "/etc/docker/daemon.json: json: cannot unmarshal string into Go struct field "
        "Config.insecure-registries of type []string",
    ),
    (
        "daemon-json-invalid",
        "dockerd: unable to configure the Docker daemon with file /etc/docker/daemon.json: "
        "the following directives don't match any configuration option: registry-mirror, foo",
    ),
    (
        "daemon-json-invalid",
        'msg="unable to configure the Docker daemon with file /etc/docker/daemon.json: file '
        'configuration validation failed: invalid logging level: warning1"',
    ),
    (
        "daemon-json-flag-conflict",
        'level=error msg="unable to configure the Docker daemon with file '
        "/etc/docker/daemon.json: the following directives are specified both as a flag and "
        "in the configuration file: storage-driver: (from flag: overlay2, from file: "
        'devicemapper)\\n"',
    ),
    (
        "systemd-socket-activation-missing",
        "failed to load listeners: no sockets found via socket activation: make sure the "
        "service was started by systemd",
    ),
    (
        "systemd-socket-activation-missing",
        "Failed to start docker.service: Unit docker.socket not found.",
    ),
    (
        "systemd-socket-activation-missing",
        'level=fatal msg="no sockets found via socket activation: make sure the service was '
        'started by systemd"',
    ),
    (
        "daemon-not-running",
        "Cannot connect to the Docker daemon. Is the docker daemon running on this host?",
    ),
    (
        "daemon-not-running",
        "FATA[0000] Get http:///var/run/docker.sock/v1.18/containers/json: dial unix "
        "/var/run/docker.sock: no such file or directory. Are you trying to connect to a "
        "TLS-enabled daemon without TLS?",
    ),
    (
        "daemon-not-running",
        "docker.errors.DockerException: Error while fetching server API version: "
        "('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))",
    ),
    (
        "daemon-not-running",
        "ERROR: Couldn't connect to Docker daemon at http+docker://localhost - is it "
        "running?\n\nIf it's at a non-standard location, specify the URL with the "
        "DOCKER_HOST environment variable.",
    ),
    (
        "daemon-not-running",
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the "
        "path is correct and if the daemon is running: dial unix /var/run/docker.sock: "
        "connect: no such file or directory",
    ),
    (
        "daemon-not-running",
        'error during connect: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix '
        "/var/run/docker.sock: connect: connection refused",
    ),
    (
        "daemon-not-running",
        "Failed to start docker.service: Unit docker.service is masked.",
    ),
    (
        "docker-sock-permission",
        "docker: permission denied while trying to connect to the docker API at "
        "unix:///var/run/docker.sock.\nSee 'docker run --help'",
    ),
    (
        "docker-sock-permission",
        "permission denied while trying to connect to the Docker daemon socket at "
        "unix:///var/run/docker.sock: Get "
        '"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/containers/json": dial unix '
        "/var/run/docker.sock: connect: permission denied",
    ),
    (
        "docker-sock-permission",
        "docker.errors.DockerException: Error while fetching server API version: "
        "('Connection aborted.', PermissionError(13, 'Permission denied'))",
    ),
    (
        "docker-sock-permission",
        "Post http:///var/run/docker.sock/v1.20/build: dial unix /var/run/docker.sock: "
        "permission denied.\n* Are you trying to connect to a TLS-enabled daemon without TLS?",
    ),
    (
        "docker-host-mismatch",
        "Cannot connect to the Docker daemon at tcp://localhost:2375. Is the docker daemon "
        "running?",
    ),
    (
        "docker-host-mismatch",
        'error during connect: Get "http://192.168.1.5:2375/v1.24/version": dial tcp '
        "192.168.1.5:2375: connect: connection refused",
    ),
    (
        "docker-host-mismatch",
        "Cannot connect to the Docker daemon at "
        "unix:///home/ann/.docker/desktop/docker.sock. Is the docker daemon running?",
    ),
    (
        "containerd-not-running",
        'failed to start daemon: failed to dial "/run/containerd/containerd.sock": failed to '
        'dial "/run/containerd/containerd.sock": context deadline exceeded: connection error',
    ),
    (
        "containerd-not-running",
        "failed to start containerd: timeout waiting for containerd to start",
    ),
    (
        "containerd-not-running",
        'docker: Error response from daemon: connection error: desc = "transport: Error '
        "while dialing: dial unix /run/containerd/containerd.sock: connect: connection "
        'refused": unavailable',
    ),
    (
        "containerd-not-running",
        'ctr: cannot access containerd socket "/run/containerd/containerd.sock": no such '
        "file or directory",
    ),
    (
        "stale-docker-process",
        "failed to start daemon, ensure docker is not running or delete /var/run/docker.pid: "
        "process with PID 1234 is still running",
    ),
    (
        "stale-docker-process",
        'level=fatal msg="Error starting daemon: pid file found, ensure docker is not '
        'running or delete /var/run/docker.pid"',
    ),
    (
        "stale-docker-process",
        "Error starting daemon: error while opening volume store metadata database: timeout",
    ),
    (
        "docker-sock-not-a-socket",
        "can't create unix socket /var/run/docker.sock: is a directory",
    ),
    (
        "docker-sock-not-a-socket",
        "failed to load listeners: can't create unix socket /var/run/docker.sock: is a directory",
    ),
    (
        "daemon-connection-eof",
        "Error response from daemon: EOF",
    ),
    (
        "daemon-connection-eof",
        "docker: Error response from daemon: EOF.\nSee 'docker run --help'.",
    ),
    (
        "docker-machine-virtualbox-failure",
        "Error creating machine: exit status 1\nYou will want to check the provider to make "
        "sure the machine and associated resources were properly removed.",
    ),
    (
        "docker-machine-virtualbox-failure",
        'Error with pre-create check: "VBoxManage not found. Make sure VirtualBox is '
        'installed and VBoxManage is in the path"',
    ),
    (
        "docker-machine-virtualbox-failure",
        "Stderr:\nVBoxManage.exe: error: VT-x is not available (VERR_VMX_NO_VMX)",
    ),
    (
        "daemon-failed-generic",
        "Job for docker.service failed because the control process exited with error code. "
        'See "systemctl status docker.service" and "journalctl -xe" for details.',
    ),
    (
        "daemon-failed-generic",
        "Job for docker.service failed. See 'systemctl status docker.service' and "
        "'journalctl -xn' for details.",
    ),
    (
        "daemon-failed-generic",
        "● docker.service - Docker Application Container Engine\n   Loaded: loaded "
        "(/usr/lib/systemd/system/docker.service; disabled; vendor preset: disabled)\n   "
        "Active: failed (Result: exit-code) since Mon",
    ),
    (
        "daemon-failed-generic",
        "Unit docker.service entered failed state.\ndocker.service failed.",
    ),
    (
        "container-selinux-missing-or-old",
        "Error: \n Problem: package docker-ce-3:20.10.7-3.el8.x86_64 requires "
        "container-selinux >= 2:2.74, but none of the providers can be installed\n  - "
        "conflicting requests",
    ),
    (
        "container-selinux-missing-or-old",
        " - nothing provides container-selinux >= 2:2.74 needed by "
        "containerd.io-1.4.6-3.1.el8.x86_64",
    ),
    (
        "container-selinux-missing-or-old",
        "error: Failed dependencies:\n\tcontainer-selinux >= 2:2.74 is needed by "
        "docker-ce-3:19.03.5-3.el7.x86_64",
    ),
    (
        "container-selinux-missing-or-old",
        "Problem: nothing provides 'container-selinux >= 2:2.74' needed by the to be "
        "installed docker-ce-24.0.5",
    ),
    (
        "containerd-io-excluded-el8",
        " - package containerd.io-1.2.13-3.2.el7.x86_64 is filtered out by modular filtering",
    ),
    (
        "containerd-io-excluded-el8",
        "Problem: package docker-ce-3:19.03.5-3.el7.x86_64 requires containerd.io >= "
        "1.2.2-3, but none of the providers can be installed",
    ),
    (
        "package-conflict-podman-runc",
        " - package containerd.io-1.4.3-3.1.el8.x86_64 conflicts with runc provided by "
        "runc-1.0.0-70.rc92.module_el8.3.0+699+d61d9c41.x86_64",
    ),
    (
        "package-conflict-podman-runc",
        "Problem: problem with installed package podman-3.0.1-6.module_el8.4.0.x86_64\n - "
        "package podman-3.0.1 requires runc >= 1.0.0-57, but none of the providers can be "
        "installed\n - package containerd.io-1.4.6 obsoletes runc provided by "
        "runc-1.0.0-73.rc93",
    ),
    (
        "package-conflict-podman-runc",
        "file /usr/bin/docker from install of docker-ce-cli-1:26.1.3-1.el9.x86_64 conflicts "
        "with file from package podman-docker-2:4.9.4-0.1.el9.noarch",
    ),
    (
        "package-conflict-old-docker-packages",
        "Error: docker-ce conflicts with 2:docker-1.12.6-55.gitc4618fb.el7.centos.x86_64",
    ),
    (
        "package-conflict-old-docker-packages",
        "Transaction check error:\n  file /usr/bin/docker from install of "
        "docker-ce-17.12.0.ce-1.el7.centos.x86_64 conflicts with file from package "
        "docker-common-2:1.12.6-68.gitec8512b.el7.centos.x86_64",
    ),
    (
        "package-conflict-old-docker-packages",
        "The following packages have unmet dependencies:\n containerd.io : Conflicts: "
        "containerd\n                 Conflicts: runc",
    ),
    (
        "package-conflict-old-docker-packages",
        "dpkg: error processing archive /var/cache/apt/archives/docker-ce_18.06_amd64.deb "
        "(--unpack):\n trying to overwrite '/usr/bin/docker', which is also in package "
        "docker.io 18.09.1",
    ),
    (
        "yum-mirrors-eol",
        "Error: Failed to download metadata for repo 'appstream': Cannot prepare internal "
        "mirrorlist: No URLs in mirrorlist",
    ),
    (
        "yum-mirrors-eol",
        "http://mirror.centos.org/centos/6/os/x86_64/repodata/repomd.xml: [Errno 14] PYCURL "
        'ERROR 22 - "The requested URL returned error: 404 Not Found"',
    ),
    (
        "yum-mirrors-eol",
        "E: The repository 'http://mirror.debian.org/debian stretch Release' does not have a "
        "Release file.",
    ),
    (
        "yum-releasever-mismatch",
        "https://download.docker.com/linux/centos/7Server/x86_64/stable/repodata/repomd.xml: "
        "[Errno 14] HTTPS Error 404 - Not Found",
    ),
    (
        "yum-releasever-mismatch",
        "Errors during downloading metadata for repository 'docker-ce-stable':\n  - Status "
        "code: 404 for "
        "https://download.docker.com/linux/centos/2/x86_64/stable/repodata/repomd.xml (IP: "
        "1.2.3.4)",
    ),
    (
        "yum-releasever-mismatch",
        "E: The repository 'https://download.docker.com/linux/ubuntu vera Release' does not "
        "have a Release file.",
    ),
    (
        "package-repo-server-error",
        "https://download.docker.com/linux/centos/7/x86_64/stable/repodata/repomd.xml: "
        "[Errno 14] HTTPS Error 503 - Service Unavailable",
    ),
    (
        "package-repo-server-error",
        "E: Failed to fetch "
        "https://download.docker.com/linux/ubuntu/dists/focal/pool/stable/amd64"
        "/containerd.io_1.2.13-2_amd64.deb  403  Forbidden [IP: 99.84.1.1 443]",
    ),
    (
        "package-repo-server-error",
        "https://yum.dockerproject.org/repo/main/centos/7/repodata/repomd.xml: [Errno 14] "
        "HTTPS Error 404 - Not Found",
    ),
    (
        "rpm-gpg-key-missing",
        "Public key for docker-ce-18.06.1.ce-3.el7.x86_64.rpm is not installed",
    ),
    (
        "rpm-gpg-key-missing",
        "W: GPG error: https://download.docker.com/linux/ubuntu bionic InRelease: The "
        "following signatures couldn't be verified because the public key is not available: "
        "NO_PUBKEY 7EA0A9C3F273FCD8",
    ),
    (
        "rpm-gpg-key-missing",
        'The GPG keys listed for the "Docker CE Stable - x86_64" repository are already '
        "installed but they are not correct for this package.",
    ),
    (
        "registry-unreachable",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: net/http: TLS "
        "handshake timeout",
    ),
    (
        "registry-unreachable",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: dial tcp "
        "34.205.1.1:443: i/o timeout",
    ),
    (
        "registry-unreachable",
        'Error response from daemon: Get "https://registry-1.docker.io/v2/": context '
        "deadline exceeded",
    ),
    (
        "registry-unreachable",
        "failed to solve: alpine:3.18: failed to resolve source metadata for "
        "docker.io/library/alpine:3.18: failed to do request: Head "
        '"https://registry-1.docker.io/v2/library/alpine/manifests/3.18": dial tcp '
        "44.1.1.1:443: connect: connection refused",
    ),
    (
        "registry-unreachable",
        "Error response from daemon: Head "
        '"https://registry-1.docker.io/v2/library/x/manifests/latest": Get '
        '"https://auth.docker.io/token?scope=repository%3Alibrary%2Fx%3Apull&se'
        'rvice=registry.docker.io": net/http: request canceled (Client.Timeout exceeded '
        "while awaiting headers)",
    ),
    (
        "registry-unreachable",
        "Trying to pull docker.io/library/alpine:latest...\nError: initializing source "
        "docker://alpine:latest: pinging container registry registry-1.docker.io: Get "
        '"https://registry-1.docker.io/v2/": dial tcp 3.94.1.1:443: i/o timeout',
    ),
    (
        "registry-unreachable",
        "read tcp 10.0.0.2:4000->1.1.1.1:443: read: connection reset by peer Get "
        "https://registry-1.docker.io/v2/library/busybox/manifests/latest: read tcp: read: "
        "connection reset by peer",
    ),
    (
        "registry-tls-untrusted",
        "Error response from daemon: Get https://reg.example.com/v2/: x509: certificate "
        "signed by unknown authority",
    ),
    (
        "registry-tls-untrusted",
        'Error response from daemon: Get "https://10.0.0.5:5000/v2/": http: server gave HTTP '
        "response to HTTPS client",
    ),
    (
        "registry-tls-untrusted",
        'Error response from daemon: Get "https://reg.local/v2/": tls: failed to verify '
        "certificate: x509: certificate signed by unknown authority",
    ),
    (
        "registry-tls-untrusted",
        "Get https://192.168.1.2:5000/v2/: x509: cannot validate certificate for 192.168.1.2 "
        "because it doesn't contain any IP SANs",
    ),
    (
        "registry-proxy-misconfigured",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: proxyconnect tcp: "
        "dial tcp 10.1.1.1:3128: connect: connection refused",
    ),
    (
        "registry-proxy-misconfigured",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: proxyconnect tcp: "
        "tls: first record does not look like a TLS handshake",
    ),
    (
        "registry-proxy-misconfigured",
        "Error response from daemon: Get https://registry-1.docker.io/v2/: Proxy "
        "Authentication Required",
    ),
    (
        "registry-proxy-misconfigured",
        "Get https://index.docker.io/v1/repositories/library/centos/images: http: error "
        "connecting to proxy http://proxy:8080: dial tcp: i/o timeout",
    ),
    (
        "registry-mirror-dead",
        "Error response from daemon: Get "
        "https://dockerhub.azk8s.cn/v2/library/nginx/manifests/latest: 403 Forbidden",
    ),
    (
        "registry-mirror-dead",
        'level=warning msg="Error getting v2 registry: Get '
        "https://docker.mirrors.ustc.edu.cn/v2/: dial tcp: lookup "
        'docker.mirrors.ustc.edu.cn: no such host"',
    ),
)
HARMLESS: tuple[str, ...] = (
    (
        "Installing : docker-ce ...\nwarning: "
        "/var/cache/yum/x86_64/7/docker-ce-stable/packages/docker-ce-18.06.rpm: Header V4 "
        "RSA/SHA512 Signature, key ID 621e9f35: NOKEY\nPublic key for "
        "docker-ce-18.06.1.ce-3.el7.x86_64.rpm is not installed\nRetrieving key from "
        "https://download.docker.com/linux/centos/gpg\nImporting GPG key 0x621E9F35:"
    ),
    (
        'level=warning msg="grpc: addrConn.createTransport failed to connect to '
        "{unix:///var/run/docker/containerd/containerd.sock  <nil> 0 <nil>}. Err :connection "
        'error: desc = \\"transport: Error while dialing dial unix '
        '/var/run/docker/containerd/containerd.sock: connect: no such file or directory\\". '
        'Reconnecting..." module=grpc'
    ),
    (
        "app_1 | requests.exceptions.ConnectionError: HTTPConnectionPool(host='db', "
        "port=5432): Max retries exceeded: Connection refused"
    ),
    ("app | dial tcp 172.18.0.3:5432: connect: connection refused"),
    (
        'web | Get "https://api.example.com/v2/users": context deadline exceeded '
        "(Client.Timeout exceeded while awaiting headers)"
    ),
    (
        "app | x509: certificate signed by unknown authority connecting to "
        "https://api.internal/graphql"
    ),
    ("npm ERR! network connect ETIMEDOUT 104.16.1.35:443"),
    ('docker: Error response from daemon: Conflict. The container name "/web" is already in use'),
    ("Error response from daemon: manifest unknown: manifest unknown"),
    (
        "--> Processing Dependency: container-selinux >= 2:2.74 for package: "
        "containerd.io-1.2.6-3.3.el7.x86_64\n---> Package container-selinux.noarch "
        "2:2.107-3.el7 will be installed\nComplete!"
    ),
    (
        "Server: Docker Engine\n Registry Mirrors:\n  https://mirror.example.com/\n Live "
        "Restore Enabled: false"
    ),
    ("unexpected EOF while reading trailer\nerror: rsync"),
    ("bash: syntax error near unexpected token: unexpected EOF while looking for matching `\"'"),
)


@pytest.mark.parametrize(("problem", "text"), SAID)
def test_a_message_points_to_its_problem_alone(problem: str, text: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_healthy_hosts_and_applications_print_is_no_sign(text: str) -> None:
    assert problems(text) == []


def test_the_frame_around_a_failure_counts_only_without_its_cause() -> None:
    frame = "Failed to start Docker Application Container Engine."
    cause = "unable to configure the Docker daemon with file /etc/docker/daemon.json: EOF"
    assert problems(frame) == ["daemon-failed-generic"]
    assert problems(f"{cause}\n{frame}") == ["daemon-json-invalid"]


def test_an_eof_is_never_more_than_possible() -> None:
    (found,) = suspects([Text("t", ["Error response from daemon: EOF"])], SIGNATURES)
    assert found.certainty == "possible"


def test_every_problem_of_these_areas_is_explained() -> None:
    for module in (daemon, packages, registry):
        folder = Path(str(module.__file__)).parent / "explain"
        explained = {path.stem for path in folder.glob("*.md")}
        assert {signature.problem for signature in module.SIGNATURES} <= explained


def test_reports_of_these_areas_are_recognised(shared_data: Path) -> None:
    wrong: list[str] = []
    for line in (shared_data / "reports.jsonl").read_text().splitlines():
        report = json.loads(line)
        found = [one for one in problems(report["text"]) if one != "daemon-failed-generic"]
        accepted = {report["topic"], *report["also_acceptable"]}
        if report["topic"] == "none" and found:
            wrong.append(f"{report['id']}: {found}")
        elif found and not accepted & set(found) and "daemon-not-running" not in found:
            wrong.append(f"{report['id']}: {found}, not {report['topic']}")
        elif not found and accepted <= MINE - {"daemon-failed-generic"}:
            wrong.append(f"{report['id']}: nothing found, not {report['topic']}")
    assert wrong == []
