"""What accounts and mail may be configured to."""

import pytest

from rtserver.config import ConfigError, complete, load
from rtserver.config.secrets import LINK_KEY

HERE = '[accounts]\nenabled = true\nbase_url = "http://127.0.0.1:8000"\n'
PROVIDER = '[[accounts.providers]]\nname = "google"\nbackend = "social_core.backends.google.GoogleOAuth2"\n'


def problems(text, **overrides):
    with pytest.raises(ConfigError) as raised:
        load(text, {}, overrides)
    return str(raised.value)


def test_accounts_with_an_address_and_a_provider_are_a_configuration():
    config = load(HERE + PROVIDER, {})
    assert config.accounts.providers[0].name == "google"
    assert len(config.accounts.steps) > 5


def test_a_pipeline_of_ones_own_takes_the_place_of_the_standard_one():
    assert load(HERE + 'pipeline = ["a.b", "c.d"]', {}).accounts.steps == ("a.b", "c.d")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[accounts]\nenabled = true", "accounts.base_url"),
        ('[accounts]\nbase_url = "example.com"', "accounts.base_url"),
        ('[accounts]\nbase_url = "https://example.com/path"', "accounts.base_url"),
        ('[accounts]\nbase_url = "https://u:p@example.com"', "accounts.base_url"),
        ('[accounts]\nenabled = true\nbase_url = "http://example.com"', "accounts.base_url"),
        ('[accounts]\nallowed_targets = ["https://example.com/a"]', "accounts.allowed_targets"),
        ('[accounts]\nstaff = ["shop@example.com", "ada"]', "accounts.staff"),
        ('[accounts]\nsubscription_channels = ["user:{user}", "user:{id}:*"]', "accounts.subscription_channels"),
        ('[accounts]\nstaff_channels = ["staff:{name}"]', "accounts.staff_channels"),
        ('[payments]\nchannel = "payments"', "payments.channel"),
        ('[accounts]\nsecret_key = "short"', "accounts.secret_key"),
        ('[accounts]\nold_secret_keys = ["short"]', "accounts.old_secret_keys"),
        ('[accounts]\nsession_ttl = "20d"\nsession_max = "10d"', "accounts.session_max"),
        ('[accounts]\nproof_ttl = "1s"', "accounts.proof_ttl"),
        (HERE + "passwords = false", "accounts.passwords"),
        ('[[accounts.providers]]\nname = "google"', "accounts.providers[0].backend"),
        ('[[accounts.providers]]\nname = "Google!"\nbackend = "a.b"', "accounts.providers[0].name"),
        (PROVIDER + PROVIDER, "accounts.providers[1].name"),
        ('[mail]\ntransport = "smtp"', "mail.host"),
        ('[mail]\nsender = "nobody"', "mail.sender"),
        ('[mail]\nsecurity = "none"\npassword = "p"', "mail.security"),
        ("[mail]\nconnections = 0", "mail.connections"),
        ("[payments]\nenabled = true", "payments.enabled"),
        (HERE + "[payments]\nenabled = true", "payments.mode"),
        (HERE + '[payments]\nenabled = true\nmode = "sandbox"', "payments.merchant_id"),
        ('[payments]\nsimulator_url = "http://example.com"', "payments.simulator_url"),
        ('[payments]\nreconcile_at = "25:00"', "payments.reconcile_at"),
        ("[payments]\nthreads = 0", "payments.threads"),
    ],
)
def test_a_mistake_is_told_with_its_key(text, key):
    assert f"{key}:" in problems(text)


def test_the_simulator_is_for_development():
    config = load('environment = "development"\n' + HERE + "[payments]\nenabled = true", {})
    assert config.payments.mode == "simulator"


def test_secrets_of_accounts_stay_out_of_texts():
    config = load(HERE + f'secret_key = "{"s" * 40}"\n[mail]\nhost = "h"\npassword = "letmein"\n', {})
    assert "ssss" not in repr(config)
    assert "letmein" not in repr(config)


def test_accounts_get_a_key_that_is_kept(tmp_path):
    text = HERE + '[client.token]\njwks_public_endpoint = "https://h/certs"\n[http_api]\nkey = "k"\n'
    done = complete(load(text, {}, {"state_dir": str(tmp_path)}))
    assert set(done.new) == {LINK_KEY}
    assert done.config.accounts.secret_key == done.new[LINK_KEY]
    assert complete(load(text, {}, {"state_dir": str(tmp_path)})) == (done.config, {})
