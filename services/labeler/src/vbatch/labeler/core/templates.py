"""The labeling configs of Label Studio, one for each template, made of tags that its community edition has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never
from xml.sax.saxutils import quoteattr

from vbatch.contracts.curation import Verdict, Vote
from vbatch.contracts.labeling import LabelingTemplate

ANSWER, CHAT = "answer", "chat"
VERDICT, SCORE, EDITED, TAGS, NOTE, LABEL, VOTE = "verdict", "score", "edited", "tags", "note", "label", "vote"
"""The names of the controls; an annotation names its control in `from_name`."""
REASONS = ("wrong", "incomplete", "too long", "wrong tone", "unsafe", "wrong format")
HOTKEYS = {Verdict.GOOD: "y", Verdict.BAD: "n", Verdict.UNSURE: "u", Vote.A: "a", Vote.B: "b", Vote.TIE: "t"}
VOTES = {Vote.A: "A is better", Vote.B: "B is better", Vote.TIE: "tie"}

_CONVERSATION = f'<Paragraphs name="{CHAT}" value="$messages" layout="dialogue" nameKey="role" textKey="content"/>'
_NOTE = f'<Header value="Note"/><TextArea name="{NOTE}" toName="{ANSWER}" rows="2" maxSubmissions="1"/>'
_SIDE_BY_SIDE = (
    '<View style="display: grid; grid-template-columns: 1fr 1fr; gap: 1em">'
    f'<View><Header value="A"/><Text name="{ANSWER}" value="$answer"/></View>'
    '<View><Header value="B"/><Text name="other" value="$other"/></View></View>'
)


def config_of(template: LabelingTemplate, labels: Sequence[str]) -> str:
    match template:
        case LabelingTemplate.CHAT:
            parts = [_CONVERSATION, _answer(), _verdicts(), _score(), _edited(), _reasons(), _NOTE]
        case LabelingTemplate.CLASSIFICATION:
            parts = [_CONVERSATION, _answer(), _choices(LABEL, labels, is_single=True), _NOTE]
        case LabelingTemplate.PAIRWISE:
            parts = [_CONVERSATION, _SIDE_BY_SIDE, _votes(), _NOTE]
        case _:
            assert_never(template)
    return f"<View>{''.join(parts)}</View>"


def _answer() -> str:
    return f'<Header value="Answer"/><Text name="{ANSWER}" value="$answer"/>'


def _verdicts() -> str:
    choices = "".join(f'<Choice value="{verdict}" hotkey="{HOTKEYS[verdict]}"/>' for verdict in Verdict)
    return f'<Choices name="{VERDICT}" toName="{ANSWER}" choice="single" showInline="true">{choices}</Choices>'


def _votes() -> str:
    choices = "".join(f'<Choice value="{VOTES[vote]}" alias="{vote}" hotkey="{HOTKEYS[vote]}"/>' for vote in Vote)
    how = 'choice="single" showInline="true" required="true"'
    return f'<Choices name="{VOTE}" toName="{ANSWER}" {how}>{choices}</Choices>'


def _score() -> str:
    return f'<Rating name="{SCORE}" toName="{ANSWER}" maxRating="5"/>'


def _edited() -> str:
    area = f'<TextArea name="{EDITED}" toName="{ANSWER}" rows="8" maxSubmissions="1" editable="true"/>'
    return f'<Header value="A better answer"/>{area}'


def _reasons() -> str:
    return '<Header value="Reasons"/>' + _choices(TAGS, REASONS, is_single=False)


def _choices(name: str, values: Sequence[str], *, is_single: bool) -> str:
    choices = "".join(f"<Choice value={quoteattr(value)}/>" for value in values)
    kind = "single" if is_single else "multiple"
    return f'<Choices name="{name}" toName="{ANSWER}" choice="{kind}" showInline="true">{choices}</Choices>'
