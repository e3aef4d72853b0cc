"""The channels on which payments are told of."""

from __future__ import annotations

from dataclasses import replace

from rtserver.core.options import ChannelOptions, ChannelRules, Seconds
from rtserver.payments.options import PaymentsOptions

NEWS = ChannelOptions(history_size=100, history_ttl=Seconds(3600), force_recovery=True)
"""Of the channels of payments, unless they are configured: whoever comes back is told what happened meanwhile."""


def with_news_channels(rules: ChannelRules, options: PaymentsOptions) -> ChannelRules:
    """The rules of channels, with the namespaces in which payments are told of."""
    told = (options.channel, options.staff_channel) if options.enabled else ()
    names = {each.split(rules.namespace_boundary)[0] for each in told if rules.namespace_boundary in each}
    return replace(rules, namespaces={**dict.fromkeys(names, NEWS), **rules.namespaces})
