"""Accounts: who somebody is, how they prove it, and which sessions they have. Flows over the ports of the core; pages and
endpoints are in ``web/accounts``, what reaches out in ``services``."""
