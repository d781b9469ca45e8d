"""Judges with the SDK of Label Studio, in its environment: `python sdk_judging.py URL TOKEN VERDICT TASK...`."""

from __future__ import annotations

import sys

from label_studio_sdk import LabelStudio  # type: ignore[import-not-found]  # lives in the environment of Label Studio


def main(url: str, token: str, verdict: str, task_ids: list[int]) -> None:
    label_studio = LabelStudio(base_url=url, api_key=token)
    region = {"from_name": "verdict", "to_name": "answer", "type": "choices", "value": {"choices": [verdict]}}
    for task_id in task_ids:
        label_studio.annotations.create(id=task_id, result=[region], lead_time=3.0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], [int(task_id) for task_id in sys.argv[4:]])
