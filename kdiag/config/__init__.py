"""What the user asked for: options, client properties, targets. Nothing is dialled here."""
