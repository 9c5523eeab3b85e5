# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets go, and nothing that a diagnosis needs goes with them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.host.redact import redact, redact_json

SECRET = "hunter2"
HIDDEN = [
    f"http://user:{SECRET}@proxy:3128/",
    f"https://{SECRET}@registry/v2",
    f"https://user:a@b{SECRET}@registry/v2",
    f"https_proxy=user:{SECRET}@proxy:1",
    f'{{"splunk-token": "{SECRET}", "splunk-url": "https://x"}}',
    f'{{"auths": {{"x": {{"auth": "{SECRET}", "identitytoken": "{SECRET}"}}}}}}',
    f'MESSAGE="{{\\"password\\":\\"{SECRET}\\"}}"',
    f'Environment="DB_PASSWORD=a {SECRET}" "OTHER=1"',
    f"AWS_SECRET_ACCESS_KEY=/{SECRET}/x",
    f"API_KEY={SECRET}",
    f"LICENSE_KEY={SECRET}",
    f"Authorization: Basic {SECRET}",
    f"Proxy-Authorization:[Bearer {SECRET}]",
    f"X-Registry-Auth: {SECRET}",
    f"dockerd --token {SECRET}",
    f"proxy_password = {SECRET}",
    f'auth = "{SECRET}"',
    f"  password: {SECRET}",
    f"https://store/x?X-Amz-Signature={SECRET}&y=1",
    f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,E\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"A=1\0DB_TOKEN={SECRET}\0B=2",
]  # fmt: skip
KEPT = [
    'error getting credentials - err: exec: "docker-credential-desktop": executable file not found',
    "failed to fetch oauth token: unexpected status: 401 Unauthorized",
    "unauthorized: incorrect username or password",
    "no basic auth credentials",
    "passwd: files sss",
    "gpgkey=https://download.docker.com/linux/centos/gpg",
    'realm="https://auth.docker.io/token",service="registry.docker.io"',
    '"tlskey": "/etc/docker/key.pem"',
    "password_file=/run/secrets/x",
    "registry:5000/app@sha256:abcd",
    "https://host:443/path@x",
    "TLS_KEY=/etc/docker/key.pem",
    "audit: op=add key=(null)",
    "iptables: No chain/target/match by that name",
    "secret=true token=0",
]


@pytest.mark.parametrize("said", HIDDEN)
def test_a_secret_is_taken_out(said: str) -> None:
    clean, count = redact("source", said.encode())
    assert SECRET.encode() not in clean
    assert count >= 1
    assert redact("source", clean) == (clean, 0)


@pytest.mark.parametrize("said", KEPT)
def test_the_rest_stays(said: str) -> None:
    assert redact("source", said.encode()) == (said.encode(), 0)


def test_what_stands_around_a_secret_stays() -> None:
    clean, count = redact(
        "x", b'HTTP_PROXY=http://u:p@proxy:3128/ NO_PROXY=localhost\n{"auth": "x"}'
    )
    assert clean == (
        b'HTTP_PROXY=http://REDACTED:REDACTED@proxy:3128/ NO_PROXY=localhost\n{"auth": "REDACTED"}'
    )
    assert count == 2


def test_compressed_and_kernel_files_are_left_alone() -> None:
    data = b"\x1f\x8bpassword=abc"
    assert redact("/x", data) == (data, 0)
    options = b'CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"\n'
    assert redact("/boot/config-3.10.0", options) == (options, 0)


def test_json_values() -> None:
    value = {"a": ["http://u:p@h", 1, None], "b": {"c": True}}
    clean = {"a": ["http://REDACTED:REDACTED@h", 1, None], "b": {"c": True}}
    assert redact_json("x", value) == (clean, 1)


@given(st.binary(max_size=3000))
def test_any_bytes_settle_at_once(data: bytes) -> None:
    clean, _ = redact("x", data)
    again, _ = redact("x", clean)
    assert redact("x", again)[0] == again


@pytest.mark.parametrize(
    "piece", [b"password", b"a://", b"x", b"_KEY", b'"', b" ", b"-----BEGIN PRIVATE KEY-----",
              b'password="', b"password=", b"\n  password: a b", b"https://a:b"],
)  # fmt: skip
def test_time_in_proportion(piece: bytes) -> None:
    started = time.monotonic()
    redact("x", piece * (200_000 // len(piece)))
    assert time.monotonic() - started < 3
