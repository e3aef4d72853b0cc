"""What everything around the sale does, on every database."""

from tests.payments.disputes_contract import DISPUTES_CHECKS
from tests.payments.subscriptions_contract import SUBSCRIPTIONS_CHECKS
from tests.payments.vault_contract import VAULT_CHECKS

MARKET_CHECKS = VAULT_CHECKS + SUBSCRIPTIONS_CHECKS + DISPUTES_CHECKS
