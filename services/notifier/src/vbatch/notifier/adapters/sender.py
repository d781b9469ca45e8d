"""One POST to an endpoint: no redirect, no proxy, a bounded answer, a connection only to an address that was checked.

A name is resolved once for each connection, and the connection goes to the address that was resolved and checked. A
name that resolves differently a moment later changes nothing. The name itself is used for Host, SNI and the check of
the certificate.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import perf_counter

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from vbatch.contracts.webhooks import ANSWER_BYTES_KEPT, DeliveryFault, url_fault
from vbatch.notifier.core.addresses import is_allowed
from vbatch.notifier.core.decide import IN_FLIGHT_MAX
from vbatch.notifier.core.schedule import Answer, retry_after_seconds

ATTEMPT_SECONDS_MAX = 15.0
HEADERS_BYTES_MAX = 8_190
"""The limit on one line and on one header of an answer."""


class NotAllowed(OSError):
    """Raised when the name leads to an address that this server must not connect to."""


class CheckedResolver(AbstractResolver):
    """Uses another resolver and keeps its answer only if connections to every address in it are allowed."""

    def __init__(self, resolver: AbstractResolver, *, may_be_private: bool) -> None:
        self._resolver = resolver
        self._may_be_private = may_be_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name. Raises NotAllowed, also for a name with both an allowed and a forbidden address."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_allowed(each["host"], port, may_be_private=self._may_be_private) for each in found):
            raise NotAllowed(f"{host} is not in the open Internet")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class HttpSender:
    """Implements ports.Sender."""

    def __init__(self, http: aiohttp.ClientSession, *, may_be_private: bool) -> None:
        self._http = http
        self._may_be_private = may_be_private

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        began = perf_counter()
        try:
            target = self._checked(url)
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                async with self._http.post(target, data=body, headers=headers, allow_redirects=False) as response:
                    said = await response.content.read(ANSWER_BYTES_KEPT)
                    answer = (response.status, said.decode(errors="replace"), retry_after_seconds(response.headers))
        except (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ValueError) as error:
            return Answer(_milliseconds(began), fault=_fault(error))
        return Answer(_milliseconds(began), status_code=answer[0], body=answer[1], retry_after=answer[2])

    def _checked(self, url: str) -> URL:
        """A literal address is never resolved, so it is checked here. Raises NotAllowed."""
        if url_fault(url, may_be_private=self._may_be_private) is not None:
            raise NotAllowed("the URL is not one that may be told")
        target = URL(url)
        host, port = target.host or "", target.port or 0
        if _is_literal(host) and not is_allowed(host, port, may_be_private=self._may_be_private):
            raise NotAllowed(f"{host} is not in the open Internet")
        return target


@asynccontextmanager
async def http_sender(*, may_be_private: bool, resolver: AbstractResolver | None = None) -> AsyncIterator[HttpSender]:
    """A sender that trusts nothing in the environment: it uses no proxy and no netrc, and keeps no cookies."""
    checked = CheckedResolver(resolver or aiohttp.ThreadedResolver(), may_be_private=may_be_private)
    connector = aiohttp.TCPConnector(resolver=checked, use_dns_cache=False, limit=IN_FLIGHT_MAX, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=HEADERS_BYTES_MAX,
        max_field_size=HEADERS_BYTES_MAX,
    ) as http:
        yield HttpSender(http, may_be_private=may_be_private)


def _is_literal(host: str) -> bool:
    """Whether the connector takes the host for an address: any form that the C library reads as one, including
    `0x7f.1`."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True


def _fault(error: Exception) -> DeliveryFault:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NotAllowed):
            return DeliveryFault.ADDRESS_NOT_ALLOWED
        cause = cause.__cause__
    return DeliveryFault.NO_ANSWER


def _milliseconds(began: float) -> int:
    return round((perf_counter() - began) * 1_000)
