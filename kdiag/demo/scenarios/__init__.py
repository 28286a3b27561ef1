"""The demo's scenarios, named after the finding that each leads to; declared by being imported.

A feature brings the scenarios of its own findings in its `scenarios` module.
"""

from importlib import import_module
from importlib.util import find_spec

from kdiag.demo.scenario import SCENARIOS

# In the order in which `kdiag demo --list` shows them.
_MODULES = (
    *(f"kdiag.demo.scenarios.{name}" for name in ("listeners", "connection", "tls", "sasl")),
    *(f"kdiag.demo.scenarios.{name}" for name in ("metadata", "produce")),
    "kdiag.aws.scenarios",
    "kdiag.demo.scenarios.expect",
)

for _name in _MODULES:
    if find_spec(_name.rpartition(".")[0]):  # a feature may be taken out
        import_module(_name)

__all__ = ["SCENARIOS"]
