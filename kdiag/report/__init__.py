"""The report: its model, and how it is built, saved, loaded and compared."""
