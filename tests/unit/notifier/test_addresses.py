"""Where a webhook may lead: never inside, whichever way the address is written."""

from __future__ import annotations

import pytest

from vbatch.contracts.webhooks import url_fault
from vbatch.notifier.core.addresses import is_allowed

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:100.64.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:a00:1::",
    "2001:0:a00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_lies_inside_is_refused(address: str):
    assert not is_allowed(address, 443, may_be_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"])
def test_the_open_internet_is_allowed(address: str):
    assert is_allowed(address, 443, may_be_private=False)


def test_where_private_addresses_are_allowed_our_own_listeners_are_not():
    assert is_allowed("127.0.0.1", 9000, may_be_private=True)
    assert is_allowed("10.0.0.1", 4080, may_be_private=True)
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert not is_allowed(address, 4322, may_be_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:70000/",
        "https://[::1",
        "https://exämple.com/",
        "https://example.com/a b",
        "https://example.com/" + "x" * 2_048,
        "example.com",
        "",
    ],
)
def test_a_url_that_may_not_be_told_is_refused(url: str):
    assert url_fault(url, may_be_private=False) is not None


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com:443/x?y=1", "https://example.com:8443/"])
def test_a_url_of_the_open_internet_is_taken(url: str):
    assert url_fault(url, may_be_private=False) is None


def test_plain_http_is_for_networks_of_ones_own():
    assert url_fault("http://127.0.0.1:9000/hook", may_be_private=True) is None
