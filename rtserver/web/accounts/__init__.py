"""The pages and endpoints of accounts."""
