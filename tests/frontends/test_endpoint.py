"""What SRC and DST mean, and what is refused before anything is run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import UsageError
from packetfs.frontends.cli.endpoint import parse_endpoint
from packetfs.net.job import Endpoint

POOL = "/pool"


@pytest.mark.parametrize(
    ("argument", "endpoint"),
    [
        ("docs", Endpoint(None, None, b"docs")),
        ("docs/", Endpoint(None, None, b"docs/")),
        ("/a:b", Endpoint(None, None, b"/a:b")),
        ("./a:b", Endpoint(None, None, b"./a:b")),
        ("dir/a:b", Endpoint(None, None, b"dir/a:b")),
        ("host:", Endpoint("host", None, b"")),
        ("host:docs", Endpoint("host", None, b"docs")),
        ("host:/srv/a:b", Endpoint("host", None, b"/srv/a:b")),
        ("me@host:docs/", Endpoint("me@host", None, b"docs/")),
        ("[::1]:docs", Endpoint("::1", None, b"docs")),
        ("me@[fe80::1%eth0]:/x", Endpoint("me@fe80::1%eth0", None, b"/x")),
        ("pfs:", Endpoint(None, POOL, b"")),
        ("pfs:/", Endpoint(None, POOL, b"")),
        ("pfs:docs", Endpoint(None, POOL, b"docs")),
        ("pfs:/docs//a/", Endpoint(None, POOL, b"docs/a/")),
        ("pfs:a:b", Endpoint(None, POOL, b"a:b")),
        ("host:pfs:docs", Endpoint("host", "", b"docs")),
        ("me@pfs:docs", Endpoint("me@pfs", None, b"docs")),
        ("[docs]", Endpoint(None, None, b"[docs]")),
    ],
)
def test_forms(argument: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(argument, POOL) == endpoint


def test_the_far_pool_is_used_on_the_far_side_only() -> None:
    assert parse_endpoint("host:pfs:x", POOL, "/far").pool == "/far"
    assert parse_endpoint("pfs:x", POOL, "/far").pool == POOL
    assert parse_endpoint("host:x", POOL, "/far").pool is None


@pytest.mark.parametrize(
    "argument",
    [
        "",
        ":docs",
        "me@:docs",
        "[]:docs",
        "-oProxyCommand=touch x:docs",
        "[-oProxyCommand=touch x]:docs",
        "host::module",
        "http://host/x",
        "pfs+tls://host",
        "pfs+tls://user@host/x",
        "pfs+tls://host:0/x",
        "pfs+tls://host:65536/x",
        "pfs+tls://host:x/y",
        "pfs+tls:///x",
        "pfs+tls://host/pfs:../x",
        "pfs+unix://relative:/x",
        "pfs+unix:///run/socket",
        "pfs:a/../b",
        "host:pfs:../x",
    ],
)
def test_what_cannot_be_meant_is_refused(argument: str) -> None:
    with pytest.raises(UsageError):
        parse_endpoint(argument, POOL)


@pytest.mark.parametrize(
    ("argument", "contents", "name"),
    [
        ("docs", False, b"docs"),
        ("docs/", True, b""),
        ("/a/docs", False, b"docs"),
        (".", True, b""),
        ("..", True, b""),
        ("docs/.", True, b""),
        ("/", True, b""),
        ("host:", True, b""),
        ("pfs:", True, b""),
        ("pfs:docs", False, b"docs"),
        ("pfs:docs/", True, b""),
    ],
)
def test_a_slash_at_the_end_means_the_contents(argument: str, contents: bool, name: bytes) -> None:
    endpoint = parse_endpoint(argument, POOL)
    assert (endpoint.contents, endpoint.name) == (contents, name)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_argument_is_an_endpoint_or_a_usage_error(argument: str) -> None:
    try:
        endpoint = parse_endpoint(argument, POOL)
    except UsageError:
        return
    assert endpoint.host is None or (endpoint.host and not endpoint.host.startswith("-"))
    assert endpoint.pool is None or b".." not in endpoint.path.split(b"/")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_path_behind_dot_slash_is_always_local(name: str) -> None:
    assert parse_endpoint(f"./{name}", POOL) == Endpoint(None, None, f"./{name}".encode())


def test_daemons_are_urls() -> None:
    def daemon(argument: str) -> tuple[str | None, str | None, bytes, bool]:
        found = parse_endpoint(argument, "/pool")
        return found.host, found.pool, found.path, found.daemon

    assert daemon("pfs+tls://host/srv/x/") == ("host:7272", None, b"/srv/x/", True)
    assert daemon("pfs+tls://host:1/pfs:a/b/") == ("host:1", "", b"a/b/", True)
    assert daemon("pfs+tls://[::1]:80/x") == ("[::1]:80", None, b"/x", True)
    assert daemon("pfs+unix:///run/a.sock:/x") == ("/run/a.sock", None, b"/x", True)
    assert daemon("pfs+unix:///run/a.sock:pfs:") == ("/run/a.sock", "", b"", True)
