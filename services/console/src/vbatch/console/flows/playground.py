"""Asks one model and passes its answer on as it comes, with the time to the first token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from vbatch.console.core.playground import Failed, Said, Sum, Text, Waiting, read_stream_line, streamed
from vbatch.console.flows.pages import Clock
from vbatch.console.ports import Api, ApiRefused, ApiUnreachable


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and the seconds since the model was asked."""

    said: Said
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, for browsers without scripts."""

    text: str
    reasoning: str
    sum: Sum
    first_seconds: float | None
    seconds: float
    trouble: str


async def answer_stream(source: Api, body: Mapping[str, object], clock: Clock) -> AsyncGenerator[Heard, None]:
    """Yield messages until the answer is complete. An error is yielded, too, and ends the answer."""
    began = clock()
    try:
        async with source.chat(streamed(body)) as lines:
            async for line in lines:
                for said in read_stream_line(line):
                    yield Heard(said, clock() - began)
    except ApiRefused as error:
        yield Heard(Failed(error.message), clock() - began)
    except ApiUnreachable:
        yield Heard(Failed("The gateway does not answer any more. Nothing is stored; ask again."), clock() - began)


async def whole_answer(source: Api, body: Mapping[str, object], clock: Clock) -> Answer:
    began = clock()
    heard = [each async for each in answer_stream(source, body, clock) if not isinstance(each.said, Waiting)]
    texts = [each for each in heard if isinstance(each.said, Text)]
    sums = [each.said for each in heard if isinstance(each.said, Sum)]
    return Answer(
        text=_joined(texts, is_reasoning=False),
        reasoning=_joined(texts, is_reasoning=True),
        sum=_merged(sums),
        first_seconds=texts[0].seconds if texts else None,
        seconds=clock() - began,
        trouble=next((each.said.words for each in heard if isinstance(each.said, Failed)), ""),
    )


def _joined(texts: list[Heard], *, is_reasoning: bool) -> str:
    said = [each.said for each in texts if isinstance(each.said, Text)]
    return "".join(each.text for each in said if each.is_reasoning is is_reasoning)


def _merged(sums: list[Sum]) -> Sum:
    return Sum(
        next((each.finish_reason for each in sums if each.finish_reason), None),
        next((each.input_tokens for each in sums if each.input_tokens is not None), None),
        next((each.output_tokens for each in sums if each.output_tokens is not None), None),
    )
