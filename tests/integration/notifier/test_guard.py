"""Nothing inside is reached through a webhook, whatever a name server says, and whatever it says a moment later."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.integration.notifier.stage import Receiver, receiver
from vbatch.contracts.webhooks import ANSWER_BYTES_KEPT, DeliveryFault
from vbatch.notifier.adapters.sender import CheckedResolver, HttpSender, NotAllowed, http_sender
from vbatch.notifier.core.schedule import Answer

pytestmark = pytest.mark.integration


class Lying(AbstractResolver):
    """Answers each ask with the next list of addresses, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Holds nothing."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)


@pytest.fixture
async def inside() -> AsyncIterator[Receiver]:
    """A listener that must stay silent."""
    async with receiver() as taker:
        yield taker


def port_of(taker: Receiver) -> str:
    return taker.url.split(":")[2].split("/")[0]


async def post(sender: HttpSender, url: str) -> Answer:
    return await sender.post(url, {"webhook-id": "evt_1"}, b"{}")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["64:ff9b::7f00:1"],
        ["93.184.216.34", "127.0.0.1"],
    ],
)
async def test_a_name_that_leads_inside_is_refused(inside: Receiver, addresses: list[str]):
    async with http_sender(may_be_private=False, resolver=Lying(addresses)) as sender:
        answer = await post(sender, f"https://hook.example:{port_of(inside)}/")
    assert (answer.fault, inside.posted) == (DeliveryFault.ADDRESS_NOT_ALLOWED, [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "localhost"]
)
async def test_an_address_inside_is_refused_in_every_spelling(inside: Receiver, host: str):
    async with http_sender(may_be_private=False) as sender:
        answer = await post(sender, f"https://{host}:{port_of(inside)}/")
    assert (answer.fault, inside.posted) == (DeliveryFault.ADDRESS_NOT_ALLOWED, [])


async def test_a_name_that_is_public_first_and_private_then_is_refused_the_second_time():
    """The connection to the public address itself would leave this machine, so the resolver is asked here."""
    resolver = CheckedResolver(Lying(["93.184.216.34"], ["10.0.0.1"]), may_be_private=False)
    assert [each["host"] for each in await resolver.resolve("hook.example", 443)] == ["93.184.216.34"]
    with pytest.raises(NotAllowed):
        await resolver.resolve("hook.example", 443)


async def test_a_name_is_asked_for_once_and_every_try_is_checked_anew(inside: Receiver):
    resolver = Lying(["203.0.113.1"], ["127.0.0.1"])
    async with http_sender(may_be_private=False, resolver=resolver) as sender:
        url = f"https://hook.example:{port_of(inside)}/"
        first, second = await post(sender, url), await post(sender, url)
    assert resolver.asked == 2
    assert {first.fault, second.fault} == {DeliveryFault.ADDRESS_NOT_ALLOWED}
    assert inside.posted == []


async def test_the_connection_goes_to_the_address_that_was_checked(inside: Receiver):
    resolver = Lying(["127.0.0.1"], ["127.0.0.2"])
    async with http_sender(may_be_private=True, resolver=resolver) as sender:
        answer = await post(sender, f"http://hook.example:{port_of(inside)}/")
    assert (answer.status_code, resolver.asked) == (200, 1)
    assert inside.posted[0].headers["Host"] == f"hook.example:{port_of(inside)}"


async def test_a_redirect_is_an_answer_and_is_not_followed(inside: Receiver):
    inside.statuses, inside.headers = [302], {"Location": inside.url}
    async with http_sender(may_be_private=True) as sender:
        assert (await post(sender, inside.url)).status_code == 302
    assert len(inside.posted) == 1


async def test_no_proxy_of_the_environment_is_used(inside: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with http_sender(may_be_private=True) as sender:
        assert (await post(sender, inside.url)).status_code == 200


async def test_of_a_long_answer_the_beginning_is_kept(inside: Receiver):
    inside.text = "x" * 1_000_000
    async with http_sender(may_be_private=True) as sender:
        answer = await post(sender, inside.url)
    assert (answer.status_code, set(answer.body)) == (200, {"x"})
    assert 0 < len(answer.body) <= ANSWER_BYTES_KEPT


async def test_our_own_listeners_are_never_told_anything():
    async with http_sender(may_be_private=True) as sender:
        assert (await post(sender, "http://127.0.0.1:4322/")).fault is DeliveryFault.ADDRESS_NOT_ALLOWED
