"""The exit codes that are not a report's own, and what --help says of all of them."""

from __future__ import annotations

USAGE, INTERNAL, INTERRUPTED = 2, 1, 130

EXIT_CODES = """\b
Exit codes:
  0            the path works (warnings allowed, see --fail-on)
  1            kdiag itself failed
  2            wrong usage: option, file or property
  10 20 30 40  the first hop that fails: bootstrap, metadata, listeners, produce
  50           the walk passes, but what AWS says does not
  60           a file that configures the cluster has errors, and no hop fails
  70           the walk passes, but not what --expect says
  80           a vantage point could not be reached
  130          interrupted"""
