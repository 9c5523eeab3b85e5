# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of pulls, pushes and logins that do not reach a registry."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

_UNREACHABLE = "registry-unreachable"
_UNTRUSTED = "registry-tls-untrusted"
_PROXY = "registry-proxy-misconfigured"
_MIRROR = "registry-mirror-dead"
# The paths of the registry API and its token service tell a registry from other servers.
_API = (
    r"/(?:v2/?(?=[\"\s:?]|$)|v2/(?:\S+/(?:manifests|blobs|tags)/|_catalog)"
    r"|v1/(?:repositories|_ping|search|images|users)|\S*token\?\S*(?:scope|service|account)="
    r"|\S{0,200}/v2/blobs/sha256|\S{0,80}/sha256[:/][0-9a-f]{2})"
)
# Go's net/http in front of every error: `Get "https://HOST/v2/...": REASON`.
_REQUEST = (
    r"(?:Get|Head|Post|Put|Patch|GET|HEAD) \"?https?://(?P<registry>[^/\s\"]+)" + _API + r"\S* "
)
# A reason that stands behind such a request, with what Go puts in between.
_DIAL = r"(?:[^{}]{0,200}?)"
# Hosts that are mirrors of Docker Hub by their name.
_MIRROR_HOST = (
    r"(?P<registry>[\w.-]*(?:mirror|azk8s\.cn|docker-cn\.com|daocloud|dockerproxy|c\.163\.com"
    r"|ustc\.edu\.cn|aliyuncs\.com|tencentyun\.com|baidubce\.com|nju\.edu\.cn)[\w.-]*)"
)


def _unreachable(anchor: str, reason: str, *unless: str) -> Signature:
    return Signature(
        problem=_UNREACHABLE,
        anchors=(anchor,),
        pattern=_REQUEST + _DIAL + reason,
        unless=("proxyconnect", "connecting to proxy", "Proxy Authentication", *unless),
        summary="{registry} does not answer",
        reach=1000,  # the addresses of layers carry a signature
        of_host=True,
    )


_NETWORK: tuple[Signature, ...] = (
    # dockerd, podman and BuildKit; a name that cannot be looked up is another trouble.
    _unreachable("Client.Timeout exceeded while awaiting headers", "Client.Timeout", "lookup "),
    _unreachable("request canceled while waiting for connection", "request canceled", "lookup "),
    _unreachable("TLS handshake timeout", "TLS handshake timeout"),
    # Without the request: whom was asked is not said.
    Signature(
        problem=_UNREACHABLE,
        anchors=("net/http: TLS handshake timeout",),
        pattern=r"^(?!.*(?:https?://|:6443|:10250|Unable to connect to the server|kube|etcd))",
        unless=("proxyconnect", "connecting to proxy", "Proxy Authentication"),
        summary="a server, most likely a registry, does not answer",
        certainty=Certainty.POSSIBLE,
        reach=160,
        of_host=True,
    ),
    _unreachable("i/o timeout", "i/o timeout", "lookup "),
    _unreachable("connection refused", "(?:connect|tcp [^ ]+): connection refused", "lookup "),
    _unreachable("no route to host", "no route to host"),
    _unreachable("connection timed out", "(?:connect|tcp [^ ]+): connection timed out", "lookup "),
    _unreachable("network is unreachable", "network is unreachable"),
    _unreachable("connection reset by peer", "connection reset by peer"),
    _unreachable("context deadline exceeded", "context deadline exceeded", "lookup "),
    _unreachable("EOF", r"(?:unexpected )?EOF(?!\w)"),
    # dockerd and containerd, of a registry that fails.
    Signature(
        problem=_UNREACHABLE,
        anchors=("received unexpected HTTP status: 5",),
        pattern=r"unexpected HTTP status: (?P<status>50\d[\w ]{0,40})",
        summary="the registry answers {status}",
        certainty=Certainty.POSSIBLE,
        reach=120,
        of_host=True,
    ),
    # dockerd 1.9 and earlier.
    Signature(
        problem=_UNREACHABLE,
        anchors=("Network timed out while trying to connect to",),
        pattern=r"connect to https?://(?P<registry>[^/\s]+)/",
        summary="{registry} does not answer",
        of_host=True,
    ),
)

# Go's crypto/x509, and what it means.
_X509 = (
    ("certificate signed by unknown authority", "its authority is not known here"),
    ("certificate is valid for", "it names another host"),
    ("cannot validate certificate for", "it does not name the address"),
    ("certificate is not valid for any names", "it names no host"),
    ("certificate relies on legacy Common Name field", "it has no subject alternative name"),
)


def _untrusted(reason: str, said: str, pattern: str) -> Signature:
    return Signature(
        problem=_UNTRUSTED,
        anchors=(f"x509: {reason}",),
        pattern=pattern,
        summary=f"a registry's certificate is refused: {said}",
        reach=400,
        says=(("refused", "certificate"),),
    )


_TLS: tuple[Signature, ...] = (
    # A pull, a push or a login, with the registry's name.
    *(
        _untrusted(reason, said, r"https://(?P<registry>[\w.:-]+)/v[12]/.{0,300}?x509")
        for reason, said in _X509
    ),
    # The same without it. An application's own log may hold such words too.
    *(
        _untrusted(
            reason,
            said,
            _API + r"|Error response from daemon|images/create|Pulling|docker (?:pull|push"
            r"|login)|pinging container registry|trying to ping|failed to resolve",
        )
        for reason, said in _X509
    ),
    # Go's net/http: a registry without TLS that is not listed as insecure.
    Signature(
        problem=_UNTRUSTED,
        anchors=("server gave HTTP response to HTTPS client",),
        pattern=r"https://(?P<registry>[^/\s\"]+)/v[12](?![.\d])",
        unless=("error during connect:",),
        summary="{registry} speaks HTTP without TLS, which is not allowed here",
        reach=300,
        says=(("refused", "plain-http"),),
    ),
    # Go's crypto/tls, told off by the other side.
    Signature(
        problem=_UNTRUSTED,
        anchors=("remote error: tls: ",),
        pattern=_REQUEST + r"remote error: tls: (?P<reason>handshake failure|bad certificate"
        r"|protocol version not supported|unrecognized name)",
        summary="{registry} or a proxy on the way refuses TLS: {reason}",
        certainty=Certainty.POSSIBLE,
        reach=400,
    ),
    # OpenSSL-less clients of podman and skopeo (Go's crypto/tls).
    Signature(
        problem=_UNTRUSTED,
        anchors=("tls: failed to verify certificate",),
        pattern=_API + "|pinging container registry",
        unless=("has expired or is not yet valid",),
        summary="a registry's certificate is refused",
        reach=400,
        says=(("refused", "certificate"),),
    ),
)

_PROXIES: tuple[Signature, ...] = (
    # Go's net/http: the proxy is set, and nobody answers there.
    Signature(
        problem=_PROXY,
        anchors=("proxyconnect tcp: dial tcp",),
        pattern=r"proxyconnect tcp: dial tcp:? (?:lookup )?(?P<proxy>[\w.:\[\]-]{1,255}?)"
        r"(?: on [\w.:\[\]-]{1,60})?: (?:connect: |(?:read|write) udp .{1,80}: )?"
        r"(?P<reason>connection refused|i/o timeout|no such host|no route to host"
        r"|network is unreachable|connection reset by peer|server misbehaving)",
        summary="the proxy that is set, {proxy}, cannot be reached: {reason}",
        reach=300,
        says=(("proxy-is", "unreachable"),),
    ),
    # Go's net/http: what answers there is no proxy, or is spoken to in the wrong way.
    Signature(
        problem=_PROXY,
        anchors=("proxyconnect tcp",),
        pattern=r"proxyconnect tcp: (?P<reason>(?!dial tcp)[^\"]{1,100}?)(?=$| \S+[:=]|\"|\. )",
        summary="the proxy cannot be used: {reason}",
        reach=300,
    ),
    Signature(
        problem=_PROXY,
        anchors=("error connecting to proxy",),
        summary="the proxy cannot be reached",
    ),
    # A proxy that wants a user and a password.
    Signature(
        problem=_PROXY,
        anchors=("Proxy Authentication Required",),
        summary="the proxy wants a user and a password that the daemon does not give",
    ),
    # Go's net/http: a proxy that refused to connect on; nothing else ends such a line so.
    *(
        Signature(
            problem=_PROXY,
            anchors=(f": {reason}",),
            pattern=_REQUEST + reason + r"(?=$|[\s\"\\-])",
            summary=f"a proxy refused the way to {{registry}}: {reason}",
            reach=300,
        )
        for reason in (
            "Forbidden",
            "Bad Gateway",
            "Service Unavailable",
            "Gateway Timeout",
            "Gateway Time-out",
            "Proxy Error",
        )
    ),
    # dockerd, when a page of a proxy or a portal comes instead of JSON.
    Signature(
        problem=_PROXY,
        anchors=("error parsing HTTP ", "response body: invalid character '<'"),
        pattern=r"error parsing HTTP (?P<status>\d{3}) response body",
        summary="a web page (HTTP {status}) came instead of the registry's answer",
        certainty=Certainty.POSSIBLE,
        reach=160,
    ),
    # Go's net/url, on a proxy variable that is no URL.
    Signature(
        problem=_PROXY,
        anchors=("invalid proxy address",),
        summary="a proxy variable of the daemon is not a URL",
    ),
)

_MIRRORS: tuple[Signature, ...] = (
    # dockerd asks the mirrors first; a mirror that is gone shows its own name.
    Signature(
        problem=_MIRROR,
        anchors=("https://",),
        pattern=rf"(?:Get|Head) \"?https?://{_MIRROR_HOST}/v2/\S*"
        r"(?:(?! (?:200 OK|level=|msg=|Get|Head) ).){0,200}?"
        r"(?:timeout|no such host|connection refused|\bEOF|\b(?:40[134]|50\d)\b|Forbidden"
        r"|certificate|unreachable|no route|Timeout)",
        summary="the mirror {registry} does not serve",
        reach=300,
    ),
    # dockerd asks Docker Hub itself only when the mirrors that are configured have failed.
    *(
        Signature(
            problem=_MIRROR,
            anchors=(anchor, "Error response from daemon", "https://registry-1.docker.io/v2/"),
            pattern=r"registry-1\.docker\.io/v2/\S* (?:(?!Error response).){0,300}?"
            r"(?:i/o timeout|no such host|refused|Client\.Timeout|request canceled)",
            unless=('"registry-mirrors": []',),
            summary="the configured mirror did not serve: dockerd went on to Docker Hub, in vain",
        )
        for anchor in ("registry-mirrors", "Registry Mirrors:")
    ),
    # A pull that failed, pasted with a daemon.json or docker info that names a mirror.
    *(
        Signature(
            problem=_MIRROR,
            anchors=(anchor, "Error response from daemon"),
            pattern=r"Error response from daemon: (?:(?!Error response).){0,300}?"
            r"(?:Client\.Timeout|i/o timeout|no such host|refused|EOF|403 Forbidden|handshake"
            r"|request canceled)",
            unless=('"registry-mirrors": []',),
            summary="a pull fails, and a registry mirror is configured that may be dead",
            certainty=Certainty.POSSIBLE,
        )
        for anchor in ("registry-mirrors", "Registry Mirrors:")
    ),
)

# Docker Hub and registries like it, whoever asks.
_LIMITS: tuple[Signature, ...] = tuple(
    Signature(
        problem="registry-rate-limit",
        anchors=(anchor,),
        pattern=pattern,
        summary="the registry answers no more pulls for now: too many requests",
        reach=300,
    )
    for anchor, pattern in (
        ("toomanyrequests", ""),
        ("pull rate limit", r"reached your (?:unauthenticated )?pull rate limit"),
        ("429 Too Many Requests", r"/v2/\S*(?:manifests|blobs|token)|docker\.io|ghcr\.io|quay\.io"),
        ("Too Many Requests (HAP429)", ""),
        ("docker.com/increase-rate-limit", ""),
    )
)

SIGNATURES: tuple[Signature, ...] = (*_LIMITS, *_MIRRORS, *_NETWORK, *_TLS, *_PROXIES)
