import pytest

from vbatch.console.adapters.http.sessions import Sessions, is_token
from vbatch.console.core.guarding import is_known_host, is_local_path, is_own_origin


@pytest.mark.parametrize("host", ["localhost:4081", "127.0.0.1:4081", "[::1]:4081", "127.0.0.1", "gpu.lan:4081"])
def test_this_machine_and_allowed_names_are_known(host):
    assert is_known_host(host, {"gpu.lan"})


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:4081", "192.168.1.5:4081", "localhost.evil.example"]
)
def test_a_name_of_another_site_is_not(host):
    assert not is_known_host(host, {"gpu.lan"})


@pytest.mark.parametrize(
    ("origin", "site", "is_own"),
    [
        ("http://127.0.0.1:4081", "same-origin", True),
        ("http://127.0.0.1:4220", "same-site", False),
        ("https://evil.example", "cross-site", False),
        ("null", None, False),
        (None, "cross-site", False),
        (None, "same-origin", True),
        (None, None, True),
    ],
)
def test_only_our_own_pages_may_change_something(origin, site, is_own):
    assert is_own_origin("127.0.0.1:4081", origin, site) is is_own


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "", "javascript:x", "/a\r\nb"]
)
def test_nobody_is_sent_elsewhere_after_a_login(path):
    assert not is_local_path(path)


def test_a_session_belongs_to_the_browser_that_began_it():
    sessions = Sessions(60.0)
    session = sessions.begin("sk-1", "ada", "Firefox")
    assert sessions.find(session.id, "Firefox") == session
    assert sessions.find(session.id, "curl") is None and sessions.find(None, "Firefox") is None
    sessions.end(session)
    assert sessions.find(session.id, "Firefox") is None


def test_a_session_ends_by_itself():
    sessions = Sessions(0.0)
    assert sessions.find(sessions.begin("sk-1", "ada", "Firefox").id, "Firefox") is None


def test_a_token_is_taken_whole_or_not_at_all():
    assert is_token("abc", "abc") and not is_token("ab", "abc") and not is_token(None, "abc")
