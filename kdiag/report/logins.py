"""Reads a report for its logins: whether one was accepted, and whether kdiag may log in again."""

from __future__ import annotations

from kdiag.kafka.login_notes import CUT_OFF, LOST
from kdiag.report.model import Report

REFUSED = "KD120"
NOT_AGAIN = "the login was refused, and is not tried again: some servers lock an account for that"
NO_ANSWER = "the login got no answer, and is not tried again: it may have been counted all the same"


def not_again(report: Report) -> str:
    """Why kdiag must not repeat the login of a walk, as a sentence; "" where it may."""
    if any(finding.code == REFUSED for finding in report.findings):
        return NOT_AGAIN
    silent = any(server.layers.get("sasl") == "silent" for server in report.bootstrap)
    # The deadline came first, or the vantage point is gone: there are no facts.
    cut_off = CUT_OFF in report.notes or LOST in report.notes
    return NO_ANSWER if (silent or cut_off) and not logged_in(report) else ""


def logged_in(report: Report) -> bool:
    """Whether a bootstrap server accepted the login."""
    return any(server.layers.get("sasl") == "ok" for server in report.bootstrap)
