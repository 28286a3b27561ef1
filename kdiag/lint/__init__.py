"""Judges configuration files: reads them with lines and columns, and applies the rules KD6xx."""
