"""Secrets that the server makes for itself."""

import stat
import threading

import pytest

from rtserver.config import ConfigError, complete, load
from rtserver.config.secrets import API_KEY, FILE, TOKEN_KEY, known

BOTH = '[http_api]\nkey = "k"\n[client.token]\nhmac_secret_key = "s"\n'


def config_in(directory, text=""):
    return load(text, {}, {"state_dir": str(directory)})


def test_missing_secrets_are_made_once_and_kept(tmp_path):
    first = complete(config_in(tmp_path / "state"))
    assert set(first.new) == {API_KEY, TOKEN_KEY}
    assert first.config.http_api.key == first.new[API_KEY]
    assert first.config.token.hmac_secret_key == first.new[TOKEN_KEY]
    assert min(map(len, first.new.values())) >= 43
    second = complete(config_in(tmp_path / "state"))
    assert second.new == {}
    assert second.config == first.config


def test_the_file_is_for_its_owner_only(tmp_path):
    complete(config_in(tmp_path / "state"))
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_nothing_is_made_or_written_when_every_secret_is_configured(tmp_path):
    config = config_in(tmp_path / "state", BOTH)
    assert complete(config) == (config, {})
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('[http_api]\nkey = "k"', {TOKEN_KEY}),
        ("[http_api]\ninsecure = true", {TOKEN_KEY}),
        ('[client.token]\nhmac_secret_key = "s"', {API_KEY}),
        ('[client.token]\njwks_public_endpoint = "https://h/certs"', {API_KEY}),
    ],
)
def test_only_what_is_missing_is_made(tmp_path, text, made):
    done = complete(config_in(tmp_path, text))
    assert set(done.new) == made
    assert done.config.http_api.key != "" or done.config.http_api.insecure


def test_a_secret_that_becomes_needed_later_joins_the_others(tmp_path):
    first = complete(config_in(tmp_path, '[http_api]\nkey = "k"'))
    second = complete(config_in(tmp_path))
    assert set(second.new) == {API_KEY}
    assert second.config.token.hmac_secret_key == first.new[TOKEN_KEY]


def test_a_configured_secret_comes_before_a_kept_one(tmp_path):
    complete(config_in(tmp_path))
    assert complete(config_in(tmp_path, BOTH)).config.http_api.key == "k"


def test_processes_that_start_at_once_agree_and_only_one_tells_what_is_new(tmp_path):
    start, done = threading.Barrier(8), []

    def run():
        start.wait(10)
        done.append(complete(config_in(tmp_path / "state")))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({(each.config.http_api.key, each.config.token.hmac_secret_key) for each in done}) == 1
    assert sorted(len(each.new) for each in done) == [0] * 7 + [2]


def test_what_a_crash_left_behind_is_replaced(tmp_path):
    (tmp_path / f"{FILE}.new").write_text("half a fi")
    assert complete(config_in(tmp_path)).new


def test_a_damaged_file_is_told_and_not_overwritten(tmp_path):
    (tmp_path / FILE).write_text("sesame = ")
    with pytest.raises(ConfigError, match="is damaged: mend or delete it") as caught:
        complete(config_in(tmp_path))
    assert "sesame" not in str(caught.value)
    assert (tmp_path / FILE).read_text() == "sesame = "


def test_a_state_directory_that_cannot_be_made_is_told_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state_dir: .*make it writable.*or set http_api\.key and client\.token"):
        complete(config_in(tmp_path / "file" / "state"))


def test_tools_read_what_is_kept_and_make_nothing(tmp_path):
    assert known(config_in(tmp_path / "state")) == config_in(tmp_path / "state")
    assert not (tmp_path / "state").exists()
    made = complete(config_in(tmp_path / "state")).config
    assert known(config_in(tmp_path / "state")) == made
