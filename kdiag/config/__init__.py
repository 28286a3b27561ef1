"""Reads what the user configured: options, client properties, targets. Nothing is dialled here."""
