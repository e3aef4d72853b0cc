"""Braintree's own sandbox, for whoever has keys of it in the environment: the tests that name it are then collected for it
too. Nobody else has anything of it collected."""

from __future__ import annotations

import os

import braintree

from rtserver.core.options import Seconds
from rtserver.payments.options import PaymentsOptions

NAMES = ("BRAINTREE_SANDBOX_MERCHANT_ID", "BRAINTREE_SANDBOX_PUBLIC_KEY", "BRAINTREE_SANDBOX_PRIVATE_KEY")
KEYS = tuple(os.environ.get(name, "") for name in NAMES)
IS_THERE = all(KEYS)
TARGETS = ("simulator", "sandbox") if IS_THERE else ("simulator",)
"""For ``params`` of a fixture."""


def options() -> PaymentsOptions:
    merchant, public, private = KEYS
    known = {"merchant_id": merchant, "public_key": public, "private_key": private}
    return PaymentsOptions(enabled=True, mode="sandbox", timeout=Seconds(30), **known)


def sdk() -> braintree.BraintreeGateway:
    made = braintree.Configuration(braintree.Environment.Sandbox, *KEYS, timeout=(5, 60), wrap_http_exceptions=True)
    return braintree.BraintreeGateway(made)
