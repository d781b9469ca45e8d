"""Label Studio 1.23 over its REST API, with either kind of its tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from vbatch.labeler.core.annotations import LabeledTask
from vbatch.labeler.core.tasks import Task
from vbatch.labeler.ports import Away, ProjectGone, Refused

ASK_SECONDS_MAX = 60.0
PAGE_TASKS = 100
PROJECTS_PAGE = 100
ANSWER_CHARS_SHOWN = 500
SECRET_HEADER = "X-Vbatch-Secret"
BELL_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]
RETRYABLE = frozenset({401, 408, 425, 429, 500, 502, 503, 504})
"""This includes 401: an operator may set another token, and an access token may just have expired."""

T = TypeVar("T")


class _Project(msgspec.Struct, frozen=True):
    id: int
    description: str | None = None


class _Projects(msgspec.Struct, frozen=True):
    results: list[_Project] = []
    next: str | None = None


class _Tasks(msgspec.Struct, frozen=True):
    tasks: list[LabeledTask] = []
    total: int = 0


class _Webhook(msgspec.Struct, frozen=True):
    url: str
    id: int
    headers: dict[str, str] = {}


class _Access(msgspec.Struct, frozen=True):
    access: str


class HttpLabelStudio:
    """Implements ports.LabelStudio. A legacy token is sent as it is; a personal access token, a JWT, is exchanged for
    access tokens that are valid for some minutes."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._token = token
        self._is_personal = token.count(".") == 2
        self._access: str | None = None

    async def create_project(self, title: str, description: str, config: str) -> int:
        body = {
            "title": title[:50],
            "description": description,
            "label_config": config,
            "show_collab_predictions": True,
        }
        return (await self._ask("POST", "/api/projects/", _Project, body)).id

    async def find_project(self, description: str) -> int | None:
        page = 1
        while True:
            path = f"/api/projects/?page={page}&page_size={PROJECTS_PAGE}"
            found = await self._ask("GET", path, _Projects)
            for project in found.results:
                if project.description == description:
                    return project.id
            if found.next is None:
                return None
            page += 1

    async def import_tasks(self, project_id: int, tasks: Sequence[Task]) -> None:
        await self._ask("POST", f"/api/projects/{project_id}/import", msgspec.Raw, msgspec.to_builtins(tasks))

    async def newest_keys(self, project_id: int, count: int) -> set[str]:
        found = await self._page(project_id, 1, count, "-tasks:id", fields="task_only")
        return {task.key for task in found.tasks}

    async def tasks(self, project_id: int) -> AsyncIterator[Sequence[LabeledTask]]:
        seen, page = 0, 1
        while True:
            found = await self._page(project_id, page, PAGE_TASKS, "-tasks:updated_at", fields="all")
            yield found.tasks
            seen, page = seen + len(found.tasks), page + 1
            if not found.tasks or seen >= found.total:
                return

    async def delete_task(self, task_id: int) -> None:
        try:
            await self._ask("DELETE", f"/api/tasks/{task_id}/", type(None))
        except ProjectGone:
            return

    async def provide_bell(self, project_id: int, url: str, secret: str) -> None:
        for webhook in await self._ask("GET", f"/api/webhooks/?project={project_id}", list[_Webhook]):
            if webhook.url == url and webhook.headers.get(SECRET_HEADER) == secret:
                return
        await self._ask("POST", "/api/webhooks/", msgspec.Raw, _bell(project_id, url, secret))

    async def _page(self, project_id: int, page: int, size: int, ordering: str, *, fields: str) -> _Tasks:
        query = quote(json.dumps({"ordering": [ordering]}))
        path = f"/api/tasks?project={project_id}&fields={fields}&page={page}&page_size={size}&query={query}"
        return await self._ask("GET", path, _Tasks)

    async def _ask(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                headers = await self._authorization()
                async with self._http.request(method, self._url + path, json=body, headers=headers) as response:
                    answer = await response.read()
                    self._must_be_good(response.status, answer)
                    return msgspec.json.decode(answer or b"null", type=kind)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Away(f"Label Studio at {self._url} does not answer: {type(error).__name__}") from error
        except msgspec.DecodeError as error:
            raise Away(
                f"Label Studio at {self._url} answers {method} {path.partition('?')[0]} oddly: {error}"
            ) from error

    def _must_be_good(self, status: int, answer: bytes) -> None:
        if status < 400:
            return
        words = f"{status}: {answer.decode(errors='replace')[:ANSWER_CHARS_SHOWN]}"
        if status == 404:
            raise ProjectGone(words)
        if status == 401:
            self._access = None
        raise Away(words) if status in RETRYABLE else Refused(words)

    async def _authorization(self) -> dict[str, str]:
        if not self._is_personal:
            return {"Authorization": f"Token {self._token}"}
        if self._access is None:
            self._access = await self._refreshed()
        return {"Authorization": f"Bearer {self._access}"}

    async def _refreshed(self) -> str:
        async with self._http.post(f"{self._url}/api/token/refresh", json={"refresh": self._token}) as response:
            answer = await response.read()
            if response.status != 200:
                raise Away(f"Label Studio does not take the personal access token ({response.status})")
            return msgspec.json.decode(answer, type=_Access).access


def _bell(project_id: int, url: str, secret: str) -> dict[str, object]:
    """A webhook that says that something changed in the project, not what."""
    return {
        "url": url,
        "project": project_id,
        "send_payload": False,
        "send_for_all_actions": False,
        "actions": BELL_ACTIONS,
        "headers": {SECRET_HEADER: secret},
    }


@asynccontextmanager
async def label_studio(url: str, token: str) -> AsyncIterator[HttpLabelStudio]:
    """A client that sends nothing at first, so it opens even while Label Studio is unreachable."""
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield HttpLabelStudio(http, url, token)
