"""Payments beside subscribers: the shop that is measured (``shop``), its payers (``people``), and how they pay (``payers``)."""
