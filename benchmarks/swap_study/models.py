"""Two models that take turns, and a request for each whose first answer is the first token."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.asking import Endpoint, Line

CHAT: Endpoint = "/v1/chat/completions"
EMBEDDINGS: Endpoint = "/v1/embeddings"


@dataclass(frozen=True)
class Contender:
    model: str
    endpoint: Endpoint

    def line(self, number: int) -> Line:
        text = f"Say something about the number {number}."
        chat = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        body = {"model": self.model, **(chat if self.endpoint == CHAT else {"input": text})}
        return {"custom_id": f"request-{number}", "method": "POST", "url": self.endpoint, "body": body}


@dataclass(frozen=True)
class Pair:
    one: Contender
    other: Contender

    def turn(self, number: int) -> Contender:
        return self.other if number % 2 else self.one


REAL = Pair(
    Contender("HuggingFaceTB/SmolLM2-135M-Instruct", CHAT),
    Contender("sentence-transformers/all-MiniLM-L6-v2", EMBEDDINGS),
)
SIMULATED = Pair(Contender("simulated-one", CHAT), Contender("simulated-other", CHAT))
SIMULATED_MODELS = "".join(
    f'[[model]]\nid = "{each.model}"\nengine = "simulated"\nendpoints = ["{each.endpoint}"]\nmax_num_seqs = 64\n\n'
    for each in (SIMULATED.one, SIMULATED.other)
)
