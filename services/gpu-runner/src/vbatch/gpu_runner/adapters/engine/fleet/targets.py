"""From the base URLs of a model to the servers behind them: addresses, headers, keys and certificates."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vbatch.contracts.models import Discovery, ModelDefinition, ServerAccess
from vbatch.gpu_runner.adapters.engine.http.connection_pool import TcpTarget
from vbatch.gpu_runner.core.fleet.fleet import REPLICAS_MAX
from vbatch.gpu_runner.ports import EngineFailed

RESOLVE_SECONDS_MAX = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises OSError, TimeoutError."""


class Targets:
    """The servers of one model. Raises EngineFailed if a key or a certificate is missing."""

    def __init__(
        self, definition: ModelDefinition, environment: Mapping[str, str] = os.environ, resolve: Resolve | None = None
    ) -> None:
        self._resolve = resolve or addresses_of
        self._is_discovered = definition.discovery is Discovery.DNS
        self._plain = [_target(url, definition.access_of(url), environment) for url in definition.urls]

    @property
    def is_fixed(self) -> bool:
        """Whether the servers are always the same."""
        return not self._is_discovered

    async def look(self) -> dict[str, TcpTarget]:
        """The current servers by name. Raises OSError or TimeoutError if a host is not found."""
        found: dict[str, TcpTarget] = {}
        for plain in self._plain:
            addresses = await self._resolve(plain.host, plain.port) if self._is_discovered else [plain.host]
            for address in addresses:
                target = TcpTarget(address, plain.port, plain.host, plain.prefix, plain.tls, plain.headers)
                found.setdefault(name_of(target), target)
        return dict(list(found.items())[:REPLICAS_MAX])


def name_of(target: TcpTarget) -> str:
    """The name of a server in metrics and logs: its address, and its path if it has one."""
    address = f"[{target.address}]" if ":" in target.address else target.address
    return f"{address}:{target.port}{target.prefix}"


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """All A and AAAA records, by the resolver of this machine. Raises OSError, TimeoutError."""
    async with asyncio.timeout(RESOLVE_SECONDS_MAX):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


def _target(url: str, access: ServerAccess, environment: Mapping[str, str]) -> TcpTarget:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return TcpTarget(
        address=host,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        host=host,
        prefix=parts.path.rstrip("/").removesuffix("/v1"),
        tls=_tls(access) if parts.scheme == "https" else None,
        headers=_credentials(parts.username, parts.password) | _headers(access, environment),
    )


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    """The header for a name and a password in a URL (RFC 7617)."""
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _headers(access: ServerAccess, environment: Mapping[str, str]) -> dict[str, str]:
    secret = {name: _variable(variable, environment) for name, variable in access.header_variables.items()}
    key = (
        {"Authorization": f"Bearer {_variable(access.api_key_variable, environment)}"}
        if access.api_key_variable
        else {}
    )
    return dict(access.headers) | secret | key


def _variable(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise EngineFailed(f"the variable {name}, which models.toml names, is not set in the environment of the runner")
    if not (value.isascii() and value.isprintable()):
        raise EngineFailed(f"the variable {name} has other characters than those of a line of ASCII")
    return value


def _tls(access: ServerAccess) -> ssl.SSLContext:
    if access.ca_file is not None and not Path(access.ca_file).is_file():
        raise EngineFailed(f"there is no file {access.ca_file}, which models.toml names as ca_file")
    try:
        return ssl.create_default_context(cafile=access.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise EngineFailed(f"{access.ca_file} holds no certificate in PEM: {error}") from error
