"""The sections ``accounts`` and ``mail`` of the configuration. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rtserver.core.options import Seconds

PIPELINE = (
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.auth_allowed",
    "social_core.pipeline.social_auth.social_user",
    "rtserver.services.identity_steps.require_email",
    "rtserver.services.identity_steps.trusted_email",
    "social_core.pipeline.mail.mail_validation",
    "rtserver.services.identity_steps.guard_existing_account",
    "rtserver.services.identity_steps.get_username",
    "rtserver.services.identity_steps.open_account",
    "social_core.pipeline.social_auth.load_extra_data",
)
"""The steps of a sign-in with a provider. ``open_account`` makes or finds the account of the proven address, and joins the
identity to it, in one transaction: it stands for associate_by_email, create_user and associate_user of the library."""


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """One way to sign in. ``name`` is its name in addresses; "" takes the backend's own. ``backend`` is the import path of a
    class of social-auth-core (or of a subclass of one). ``trust_email``: an address that the provider calls verified needs no
    letter. ``settings`` are further settings of the backend, by their names without prefix."""

    name: str = ""
    title: str = ""
    backend: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    scope: tuple[str, ...] = ()
    trust_email: bool = False
    settings: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class AccountsOptions:
    """``base_url`` is the address of the server as browsers see it, without a path; links in letters and the return address
    of providers are made from it. ``secret_key`` signs the links; ``old_secret_keys`` are still accepted. ``proof_ttl`` is how
    long a letter is good. ``token_ttl`` is the life of connection and subscription tokens. ``session_ttl`` is how long a
    session lives unused, ``session_max`` at most. ``allowed_targets`` are origins where a sign-in may lead beside our own.
    ``subscription_channels`` are patterns of channels for which a signed-in person gets subscription tokens; ``{user}``
    stands for the id of the person; ``staff_channels`` are for staff alone. ``templates`` is a folder whose pages and
    letters replace ours, by file name."""

    enabled: bool = False
    base_url: str = ""
    secret_key: str = field(default="", repr=False)
    old_secret_keys: tuple[str, ...] = field(default=(), repr=False)
    passwords: bool = True
    sign_up: bool = True
    session_ttl: Seconds = Seconds(14 * 86_400)
    session_max: Seconds = Seconds(90 * 86_400)
    proof_ttl: Seconds = Seconds(86_400)
    token_ttl: Seconds = Seconds(600)
    cookie_connections: bool = True
    allowed_targets: tuple[str, ...] = ()
    subscription_channels: tuple[str, ...] = ("user:{user}", "user:{user}:*")
    staff: tuple[str, ...] = ()
    staff_channels: tuple[str, ...] = ("staff:*",)
    templates: str = ""
    pipeline: tuple[str, ...] = ()
    providers: tuple[ProviderOptions, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """The pipeline, ``PIPELINE`` unless another one is configured."""
        return self.pipeline or PIPELINE


@dataclass(frozen=True, slots=True)
class MailOptions:
    """``transport`` "file" writes each letter into ``directory`` (in the state directory when relative); "console" prints
    that there is one. ``security``: "starttls", "tls" or "none". ``ca_file`` "": the authorities of the system.
    ``connections`` is how many letters are on their way at a time."""

    transport: Literal["file", "console", "smtp"] = "file"
    sender: str = "rtserver@localhost"
    sender_name: str = "rtserver"
    directory: str = "mail"
    host: str = ""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout: Seconds = Seconds(30)
    connections: int = 4
