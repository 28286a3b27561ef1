"""Vantage points: the walk runs on other machines; its facts are judged here."""
