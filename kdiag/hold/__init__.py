"""`--hold`: after a walk that passes, for how long a silent connection to each broker lives."""
