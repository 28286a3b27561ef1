"""What configuration files say, each with its line and column: the facts of the KD6xx rules."""
