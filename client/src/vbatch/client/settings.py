"""The default server and key of a program: the variables of the `vbatch` command."""

from __future__ import annotations

import os

URL_VARIABLE, API_KEY_VARIABLE = "VBATCH_URL", "VBATCH_API_KEY"
LOCAL_URL = "http://127.0.0.1:4080"


def url_from(given: str | None) -> str:
    return given or os.environ.get(URL_VARIABLE) or LOCAL_URL


def api_key_from(given: str | None) -> str | None:
    return given or os.environ.get(API_KEY_VARIABLE)
