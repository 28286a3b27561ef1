"""Elsewhere: what gathers facts is sent to other machines, and their facts are judged here."""
