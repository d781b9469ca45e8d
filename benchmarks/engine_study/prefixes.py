"""Run by the engine's Python: the hits of an infinite prefix cache in a file, and the file as `vllm bench` reads it.

python prefixes.py MODEL_FOLDER FILE.jsonl BLOCK_TOKENS [SHAREGPT.json] prints {"tokens": …, "hit_tokens": …}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(model: str, file: str, block: int, sharegpt: str | None) -> None:
    from transformers import AutoTokenizer  # type: ignore[import-not-found]  # lives in the engine's environment

    tokenizer = AutoTokenizer.from_pretrained(model)
    bodies = [json.loads(line)["body"] for line in Path(file).read_text().splitlines()]
    prompts = [
        tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True) for body in bodies
    ]
    tokens = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    json.dump({"tokens": sum(map(len, tokens)), "hit_tokens": hit_tokens(tokens, block)}, sys.stdout)
    if sharegpt:
        Path(sharegpt).write_text(json.dumps([_conversation(prompt) for prompt in prompts]))


def hit_tokens(prompts: list[list[int]], block: int) -> int:
    """Tokens in whole blocks with which an earlier prompt began. The last token of a prompt is always computed."""
    seen: set[int] = set()
    found = 0
    for prompt in prompts:
        chain, hits = 0, True
        for start in range(0, len(prompt) - block + 1, block):
            chain = hash((chain, tuple(prompt[start : start + block])))
            hits = hits and chain in seen and start + block < len(prompt)
            found += block * hits
            seen.add(chain)
    return found


def _conversation(prompt: str) -> dict[str, Any]:
    turns = ({"from": "human", "value": prompt}, {"from": "gpt", "value": "."})
    return {"conversations": turns}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
