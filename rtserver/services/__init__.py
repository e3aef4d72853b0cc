"""Ways out of the process. A service is one file and one line here; the class is imported when it is chosen."""

BROKERS = {
    "memory": "rtserver.services.broker_memory:MemoryBroker",
    "redis": "rtserver.services.broker_redis:RedisBroker",
}

STORES = {
    "sqlite": "rtserver.services.store_sqlite:SqliteStore",
    "postgresql": "rtserver.services.store_postgres:PostgresStore",
}

MAILERS = {
    "file": "rtserver.services.mail_file:FileMailer",
    "console": "rtserver.services.mail_file:ConsoleMailer",
    "smtp": "rtserver.services.mail_smtp:SmtpMailer",
}

GATEWAYS = {
    "braintree": "rtserver.services.gateway_braintree:BraintreeGateway",
}
