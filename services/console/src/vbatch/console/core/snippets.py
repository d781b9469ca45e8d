"""The same actions in other languages: what a page did or will do, as a command, as curl and as Python; never with a
key."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    text: str


def create_snippets(url: str, filename: str, endpoint: str, window: str, priority: int) -> list[Snippet]:
    """Return the snippets that hand in the file. `url` is the API's, as the visitor's machine reaches it."""
    ask = {"input_file_id": "FILE_ID", "endpoint": endpoint, "completion_window": window}
    extra = f" --priority {priority}" if priority else ""
    more = f', extra_body={{"priority": {priority}}}' if priority else ""
    if priority:
        ask |= {"priority": priority}  # type: ignore[dict-item]  # the one value that is a number
    name = shlex.quote(filename)
    return [
        Snippet("vbatch", f"vbatch submit {name} --endpoint {endpoint} --window {window}{extra} --watch"),
        Snippet(
            "curl",
            f'curl {url}/v1/files -H "Authorization: Bearer $OPENAI_API_KEY" -F purpose=batch -F file=@{name}\n'
            f'curl {url}/v1/batches -H "Authorization: Bearer $OPENAI_API_KEY" -d {shlex.quote(json.dumps(ask))}',
        ),
        Snippet(
            "Python",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{url}/v1")  # reads OPENAI_API_KEY\n'
            f'file = client.files.create(file=open({filename!r}, "rb"), purpose="batch")\n'
            f'batch = client.batches.create(input_file_id=file.id, endpoint="{endpoint}", '
            f'completion_window="{window}"{more})',
        ),
    ]


def batch_snippets(url: str, batch_id: str) -> list[Snippet]:
    """Return the snippets that look at a batch and fetch its answers."""
    return [
        Snippet("vbatch", f"vbatch watch {batch_id}\nvbatch results {batch_id} > answers.jsonl"),
        Snippet(
            "curl",
            f'curl {url}/v1/batches/{batch_id} -H "Authorization: Bearer $OPENAI_API_KEY"\n'
            f'curl {url}/v1/batches/{batch_id}/results -H "Authorization: Bearer $OPENAI_API_KEY"',
        ),
        Snippet(
            "Python",
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="{url}/v1")  # reads OPENAI_API_KEY\n'
            f'batch = client.batches.retrieve("{batch_id}")\n'
            "if batch.output_file_id:\n"
            '    client.files.content(batch.output_file_id).write_to_file("answers.jsonl")',
        ),
    ]
