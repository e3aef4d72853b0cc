"""The section ``payments`` of the configuration. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rtserver.core.options import Seconds


@dataclass(frozen=True, slots=True)
class PaymentsOptions:
    """``mode``: "simulator" speaks to the gateway's stand-in, at ``simulator_url`` or, with ``start_simulator``, to one that
    this server runs; it is refused in production. "sandbox" and "production" speak to Braintree. ``merchant_account`` "": the
    default one of the merchant. ``connect_timeout`` and ``timeout`` bound one call; its outcome is "unknown" when it takes
    longer. ``threads`` is how many calls run at a time, ``queue`` how many may wait. ``staff_channel`` and ``channel`` name
    where changes are published; ``{user}`` stands for the payer. ``reconcile_at`` is the hour of the nightly report, in UTC;
    "" is never."""

    enabled: bool = False
    mode: Literal["simulator", "sandbox", "production"] = "simulator"
    simulator_url: str = "http://127.0.0.1:3999"
    start_simulator: bool = False
    merchant_id: str = ""
    public_key: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    merchant_account: str = ""
    needs_3d_secure: bool = False
    descriptor_name: str = ""
    descriptor_phone: str = ""
    descriptor_url: str = ""
    connect_timeout: Seconds = Seconds(3)
    timeout: Seconds = Seconds(15)
    threads: int = 6
    queue: int = 200
    channel: str = "user:{user}"
    staff_channel: str = "staff:payments"
    reconcile_at: str = "03:00"
