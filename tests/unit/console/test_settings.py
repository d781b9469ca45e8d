"""Where the console serves pages without keys: only where nobody but this machine reaches it."""

from __future__ import annotations

from typing import Any

import pytest

from vbatch.console.settings import ConsoleSettings


@pytest.mark.parametrize(
    ("fields", "is_local"),
    [
        ({}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "published_host": "127.0.0.1"}, True),
        ({"host": "127.0.0.1", "published_host": "192.168.1.10"}, False),
    ],
)
def test_a_port_that_is_published_on_loopback_alone_is_local(fields: dict[str, Any], is_local: bool):
    assert ConsoleSettings(**fields).is_local is is_local
