"""Payments: orders, attempts and what became of them. Flows over the ports of the core; the gateway's library is in
``services``, endpoints and the page are in ``web/payments``."""
