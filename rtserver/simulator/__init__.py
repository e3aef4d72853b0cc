"""A simulator of the Braintree gateway: a program of its own, spoken to by the real SDK over HTTP, for development and tests.

``python -m rtserver.simulator --port 3999`` starts it. ``README.md`` says what it was checked against and what not. Nothing of
it takes part in a server that is in production.
"""
