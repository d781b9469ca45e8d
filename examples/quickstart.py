"""One batch from file to answers with the official openai client; only the address differs from OpenAI's own service.

python examples/quickstart.py [FILE.jsonl]; OPENAI_BASE_URL and OPENAI_API_KEY say which server, and as whom.
"""

# ruff: noqa: T201  (printing is what a script like this is for)

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from openai import OpenAI

POLL_SECONDS = 1.0
ENDED = {"completed", "failed", "cancelled", "expired"}


def main(input_path: Path) -> int:
    """Upload, create, wait, print."""
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:4080/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    endpoint = json.loads(input_path.read_text().splitlines()[0])["url"]
    uploaded = client.files.create(file=input_path, purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h")
    while batch.status not in ENDED:
        time.sleep(POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)
        if counts := batch.request_counts:
            print(f"{batch.status}: {counts.completed} of {counts.total}, {counts.failed} failed", file=sys.stderr)
    for error in (batch.errors and batch.errors.data) or []:
        print(f"line {error.line}: {error.message}", file=sys.stderr)
    for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
        print(client.files.content(file_id).text, end="")
    return 0 if batch.status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("capitals.jsonl"))))
