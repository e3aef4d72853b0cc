"""A provider of another site that answers with a form, in a real browser: 127.0.0.1 and localhost are two sites.

The provider is oidc-provider of npm, which is certified."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.live.oidc_provider import Provider
from tests.live.redis_server import free_port
from tests.live.rtserver_process import RtServer
from tests.live.sdk_js import SCRIPTS, check_installed
from tests.live.test_accounts_browser import settings

TIME = 120
SECRET = "a secret of the provider"


def settings_with(port, provider):
    found = settings(port)
    found["accounts"]["providers"] = [
        {
            "name": "certified",
            "title": "Certified",
            "backend": "social_core.backends.open_id_connect.OpenIdConnectAuth",
            "key": "client",
            "secret": SECRET,
            "scope": ["openid", "profile"],
            "settings": {
                "OIDC_ENDPOINT": provider,
                "IGNORE_DEFAULT_SCOPE": "true",
                "AUTH_EXTRA_ARGUMENTS": '{"response_mode": "form_post"}',
            },
        }
    ]
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What ``js/form_post.mjs`` saw, and what the server wrote."""
    check_installed()
    place, port, provider_port = tmp_path_factory.mktemp("form-post"), free_port(), free_port()
    node, origin = shutil.which("node"), f"http://localhost:{provider_port}"
    back = f"http://127.0.0.1:{port}/auth/complete/certified"
    command = [node, str(SCRIPTS / "oidc_provider.mjs"), str(provider_port), back, SECRET, "localhost"]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with Provider(command, provider_port, place):
        server = RtServer(place, settings_with(port, origin), port).start()
        environment |= {"PAGE": server.url(""), "PROVIDER": origin}
        environment |= {"CHROMIUM": shutil.which("chromium"), "SHOTS": os.environ.get("SHOTS", "")}
        try:
            outcome = subprocess.run(
                [node, str(SCRIPTS / "form_post.mjs")], env=environment, capture_output=True, text=True, timeout=TIME
            )
            server.stop()
        finally:
            server.kill()
    found = json.loads(outcome.stdout.splitlines()[-1])["seen"]
    assert "failed" not in found, found
    return {**found, "log": server.log}


LOST_THEN_KNOWN = [{"status": 200, "query": "", "brings": False}, {"status": 303, "query": "", "brings": True}]
"""The form of the other site brings no cookie; the same fields from our page do. None is in an address."""


def test_a_browser_signs_in_by_itself(seen):
    assert seen["withScripts"] == LOST_THEN_KNOWN
    assert (seen["ada"]["username"], seen["ada"]["email"]) == ("ada-of-there", "ada@example.org")


def test_without_javascript_a_button_does_it(seen):
    assert seen["withoutScripts"] == LOST_THEN_KNOWN
    assert seen["ben"]["email"] == "ben@example.org"


def test_who_cancels_there_is_told_so(seen):
    assert seen["cancelled"] == {"place": "/auth/error?code=authorization_declined", "posts": LOST_THEN_KNOWN}


def test_a_form_of_another_site_that_nobody_began_here_ends_in_the_error_and_leaves_nothing(seen):
    assert seen["stranger"]["place"] == "/auth/error?code=session_context_missing"
    assert [each["status"] for each in seen["stranger"]["posts"]] == [200, 303]
    assert seen["stranger"]["cookies"] == []


def test_the_pages_have_no_errors_and_keep_to_their_policy(seen):
    # Pages of the provider name files that cannot be had here.
    assert [each for each in seen["errors"] if not each.startswith("Failed to load resource")] == []


def test_nothing_of_it_is_in_the_log(seen):
    assert not re.search(r"[?&](code|state)=|example\.org", seen["log"])
