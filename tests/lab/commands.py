"""Commands for AWS as a report has them, typed by a user: boto3 runs them, by AWS's own model."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import jmespath


def run(ec2: Any, snippet: str) -> list[str]:
    """Runs every `aws ec2 …` line of a snippet with this client; the operations' names, as typed.

    Options are those of the operation's input in botocore's model, which is what the AWS CLI has
    them from: an option or a value that is not of it fails.
    """
    done = []
    for line in snippet.replace("\\\n", " ").splitlines():
        # What is in the place of an argument runs first.
        typed = re.sub(r'"\$\((.*?)\)"', lambda inner: str(_run(ec2, inner[1])), line)
        _run(ec2, typed)
        done.append(shlex.split(typed)[2])
    return done


def _run(ec2: Any, line: str) -> Any:
    """Runs one command; what it prints."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["aws", "ec2"], line
    name = words[2].replace("-", "_")
    model = ec2.meta.service_model.operation_model(ec2.meta.method_to_api_mapping[name])
    given = _given(model.input_shape.members, words[3:])
    assert given.pop("Region") == ec2.meta.region_name, line
    wanted, form = given.pop("Query", "@"), given.pop("Output", "text")
    assert form == "text", line
    assert "<" not in line, f"something is left to fill in: {line}"
    return jmespath.search(wanted, getattr(ec2, name)(**given))


def _given(members: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The arguments by name. `--ingress` and `--egress` are one, a boolean."""
    given: dict[str, Any] = {}
    at = 0
    while at < len(words):
        option = words[at]
        assert option.startswith("--"), words
        end = next((n for n in range(at + 1, len(words)) if words[n].startswith("--")), len(words))
        values, at = words[at + 1 : end], end
        if option in ("--ingress", "--egress"):
            given["Egress"] = option == "--egress"
            continue
        name = "".join(part.capitalize() for part in option[2:].split("-"))
        given[name] = _value(members[name].type_name if name in members else "string", values)
    return given


def _value(kind: str, values: list[str]) -> Any:
    if values[0][:1] in ("[", "{"):
        return json.loads(values[0])
    if kind == "list" and values[0].startswith("Name="):  # Name=vpc-id,Values=vpc-1
        filters = (value.removeprefix("Name=").split(",Values=") for value in values)
        return [{"Name": name, "Values": given.split(",")} for name, given in filters]
    if kind == "list":
        return values
    (value,) = values
    if kind == "structure":  # From=9094,To=9094
        pairs = (part.split("=") for part in value.split(","))
        return {key: int(number) for key, number in pairs}
    return int(value) if kind == "integer" else value
