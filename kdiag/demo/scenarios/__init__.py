"""The demo's scenarios. Each is named after the finding that it leads to; importing its module
declares it.

A feature declares the scenarios of its findings in its own `scenarios` module.
"""

from importlib import import_module
from importlib.util import find_spec

from kdiag.demo.scenario import SCENARIOS

# In the order in which `kdiag demo --list` shows them.
_MODULES = (
    *(
        f"kdiag.demo.scenarios.{name}"
        for name in ("listeners", "connection", "proxy", "tls", "sasl")
    ),
    *(f"kdiag.demo.scenarios.{name}" for name in ("metadata", "produce", "hold", "consume")),
    "kdiag.aws.scenarios",
    "kdiag.companions.scenarios",
    "kdiag.demo.scenarios.expect",
)

for _name in _MODULES:
    if find_spec(_name.rpartition(".")[0]):  # the feature may have been removed
        import_module(_name)

# A module that something else has imported before has its place nevertheless.
for _name in sorted(SCENARIOS, key=lambda name: _MODULES.index(SCENARIOS[name].__module__)):
    SCENARIOS[_name] = SCENARIOS.pop(_name)

__all__ = ["SCENARIOS"]
