"""A real Prometheus and a real Alertmanager, asked over HTTP."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS_MAX = 10.0
STEP_SECONDS = 2


@dataclass(frozen=True)
class Prometheus:
    """`began` is when the stack came up, in seconds since 1970."""

    url: str
    alertmanager_url: str
    began: float

    def series(self, expression: str) -> list[dict[str, Any]]:
        """What the expression gave since the stack came up. Raises HTTPError for one that is no PromQL."""
        asked = {"query": expression, "start": self.began, "end": time.time(), "step": STEP_SECONDS}
        found: list[dict[str, Any]] = self._ask(f"{self.url}/api/v1/query_range", asked)["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Of one moment, now; None when there is no such series."""
        found = self._ask(f"{self.url}/api/v1/query", {"query": expression})["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        asked = {"query": expression, "start": self.began, "end": time.time()}
        found: list[dict[str, Any]] = self._ask(f"{self.url}/api/v1/query_exemplars", asked)["data"]
        return found

    def targets(self) -> dict[str, dict[str, Any]]:
        """What it scrapes, by job."""
        found = self._ask(f"{self.url}/api/v1/targets", {})["data"]["activeTargets"]
        return {target["labels"]["job"]: target for target in found}

    def is_firing(self, alert: str) -> bool:
        return bool(self.value(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))

    def alertmanager_has(self, alert: str) -> bool:
        """Whether Alertmanager was told of it and not told of its end."""
        found = self._ask(f"{self.alertmanager_url}/api/v2/alerts", {"active": "true"})
        return any(each["labels"]["alertname"] == alert for each in found)

    def _ask(self, url: str, parameters: dict[str, Any]) -> Any:
        with urllib.request.urlopen(
            f"{url}?{urllib.parse.urlencode(parameters)}", timeout=ANSWER_SECONDS_MAX
        ) as answer:
            return json.load(answer)
