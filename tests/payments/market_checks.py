"""What everything around the sale does, on every database."""

from tests.payments.disputes_contract import DISPUTES_CHECKS
from tests.payments.reports_contract import REPORTS_CHECKS
from tests.payments.subscriptions_contract import SUBSCRIPTIONS_CHECKS
from tests.payments.vault_contract import VAULT_CHECKS
from tests.payments.webhooks_contract import WEBHOOKS_CHECKS

MARKET_CHECKS = VAULT_CHECKS + SUBSCRIPTIONS_CHECKS + DISPUTES_CHECKS + WEBHOOKS_CHECKS + REPORTS_CHECKS
