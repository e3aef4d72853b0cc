"""What the page of payments may load, and from whom.

Hosts: the section on content security policy of the reference of Drop-in
(https://braintree.github.io/braintree-web-drop-in/docs/current/), without those of wallets that the page does not offer.
"""

from __future__ import annotations

from collections.abc import Mapping

from rtserver.payments.options import PaymentsOptions
from rtserver.web.accounts.answers import POLICY

ASSETS = "https://assets.braintreegateway.com"
SCRIPTS = "https://js.braintreegateway.com"
RISK = "https://c.paypal.com"
"""The device data that stands beside a payment is collected by this."""
ANALYTICS = "https://www.paypal.com"

GATEWAYS: Mapping[str, tuple[str, ...]] = {
    "sandbox": (
        "https://api.sandbox.braintreegateway.com",
        "https://client-analytics.sandbox.braintreegateway.com",
        "https://payments.sandbox.braintree-api.com",
    ),
    "production": (
        "https://api.braintreegateway.com",
        "https://client-analytics.braintreegateway.com",
        "https://payments.braintree-api.com",
    ),
}
"""By mode: whom the card form asks."""

SECURE: Mapping[str, tuple[str, ...]] = {
    "sandbox": ("https://songbirdstag.cardinalcommerce.com",),
    "production": ("https://songbird.cardinalcommerce.com",),
}
"""By mode: the script of 3-D Secure."""
SECURE_FRAMES = "https://*.cardinalcommerce.com"


def policy(options: PaymentsOptions) -> str:
    """The content security policy of the page. With the simulator nothing comes from anybody else."""
    if options.mode == "simulator":
        return POLICY
    secure = SECURE[options.mode] if options.needs_3d_secure else ()
    frames = (SECURE_FRAMES,) if options.needs_3d_secure else ()
    return "; ".join(
        " ".join(rule)
        for rule in (
            ("default-src", "'none'"),
            ("script-src", "'self'", SCRIPTS, RISK, *secure),
            ("style-src", "'self'"),
            # The card form sets styles of single elements.
            ("style-src-attr", "'unsafe-inline'"),
            ("img-src", "'self'", "data:", ASSETS, RISK),
            ("frame-src", ASSETS, RISK, *frames),
            ("connect-src", "'self'", "ws:", "wss:", *GATEWAYS[options.mode], ANALYTICS, RISK, *frames),
            ("base-uri", "'none'"),
            ("frame-ancestors", "'none'"),
        )
    )
