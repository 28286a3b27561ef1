"""The tools, without the protocol: from arguments to a JSON document and a short text."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import msgspec
from msgspec import Meta

from kdiag import __version__
from kdiag.api import play, prepare, walk
from kdiag.config.options import checked
from kdiag.config.reading import read
from kdiag.config.settings import Settings
from kdiag.config.usage import UsageError, near, quoted
from kdiag.kafka.dialer import KafkaDialer
from kdiag.named_targets import NamedTargets, RequestedTargets
from kdiag.report.load import read_any
from kdiag.report.logins import not_again
from kdiag.report.model import Report
from kdiag.report.pages import of_all, page_of
from kdiag.report.render import render
from kdiag.report.several import Reports, together
from kdiag.rules.catalog import every_rule
from kdiag.text import clean, decoded
from kdiag.walk.runner import plain_dialer

MOST_INPUT = 4 << 20  # bytes of all texts and files of a call
MOST_FILES = 64
AT_ONCE = 4  # checks
NOT_WRITTEN = (
    "no record was written: kdiag mcp never writes one; every broker got the produce request that "
    "writes nothing"
)


class Result(NamedTuple):
    """The JSON document and the text of a call. `untrusted`: the text has words of peers."""

    document: dict[str, Any]
    text: str
    untrusted: bool = True


class _Arguments(msgspec.Struct, forbid_unknown_fields=True):
    pass


ShortText = Annotated[str, Meta(min_length=1, max_length=1024)]
Content = Annotated[str, Meta(max_length=MOST_INPUT)]


class GivenFile(_Arguments):
    """A file: its text, or without one the file of that name in the folder of --root."""

    name: Annotated[ShortText, Meta(description="Its name, such as server.properties.")]
    text: Annotated[
        Content | None, Meta(description="Its text; without it, kdiag reads the file below --root.")
    ] = None


class Check(_Arguments):
    target: Annotated[
        ShortText,
        Meta(
            description="The name of a target of kdiag.toml. HOST:PORT[,HOST:PORT...] only where "
            "the user started kdiag mcp with --allow-any-target; no login is made there."
        ),
    ]
    topic: Annotated[
        Annotated[str, Meta(max_length=249)] | None,
        Meta(description="Also check that this topic exists and has leaders. Nothing is written."),
    ] = None


class Explain(_Arguments):
    text: Annotated[
        Content | None,
        Meta(
            description="A code (KD301), an error (LISTENER_NOT_FOUND, 72, -195), or lines of the "
            "log of a Kafka client or broker."
        ),
    ] = None
    file: Annotated[
        ShortText | None, Meta(description="Instead of a text: a log in the folder of --root.")
    ] = None


class Lint(_Arguments):
    files: Annotated[
        list[GivenFile],
        Meta(
            min_length=1,
            max_length=MOST_FILES,
            description="Files of one cluster: server.properties, Compose, Strimzi, Helm values.",
        ),
    ]


class Diff(_Arguments):
    reports: Annotated[
        list[GivenFile],
        Meta(
            min_length=1,
            max_length=MOST_FILES,
            description="Reports of kdiag check -o json, each named after where it was made.",
        ),
    ]


class Demo(_Arguments):
    scenario: Annotated[ShortText, Meta(description="Its name, such as private-address.")]


class Findings(_Arguments):
    pass


class Tools:
    """What an agent may have kdiag do: nothing of it writes, and files are read in `root` alone.

    A login that was refused is not repeated until its target is configured otherwise.
    """

    def __init__(
        self,
        *,
        allow_any: bool = False,
        root: str | None = None,
        trust_project: bool = False,
    ) -> None:
        self._named = NamedTargets(trust_project)
        self._allow_any = allow_any
        self._root = Path(root).resolve() if root else None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._refused: dict[str, tuple[Settings, Report]] = {}
        self._logins: dict[str, asyncio.Lock] = {}

    async def check(self, arguments: Check) -> Result:
        """Walks the hops to a target. One walk at a time logs in to a target."""
        settings = self._settings(arguments.target)
        target = arguments.target.removeprefix("@")
        if not settings.security.sasl:
            return _reported(await self._walk(settings, arguments.topic))
        async with self._logins.setdefault(target, asyncio.Lock()):
            before = self._refused.get(target)
            if before and before[0] == settings:
                report = before[1]
                why = not_again(report)
                text = f"This is the report of {report.started_at} again: {why}"
                return _reported(report, f"{text}, until its configuration changes.\n\n")
            report = await self._walk(settings, arguments.topic)
            self._refused.pop(target, None)
            if not_again(report):
                self._refused[target] = settings, report
        return _reported(report)

    def _settings(self, target: str) -> Settings:
        """The settings of a target. Raises UsageError."""
        named: Mapping[str, Settings] = self._named
        try:
            len(named)
        except UsageError:
            if not self._allow_any:
                raise
            named = {}
        return RequestedTargets(named, allow_any=self._allow_any).settings(target)

    async def _walk(self, settings: Settings, topic: str | None) -> Report:
        """A walk that writes no record: the real client, which would write one, does not run."""
        plain = settings._replace(options=settings.options._replace(topic=None))
        aws = await asyncio.to_thread(prepare, plain)
        topic = checked("topic", topic) if topic is not None else settings.options.topic
        if topic:
            options = settings.options._replace(topic=topic)
            settings = settings._replace(options=options, notes=(*settings.notes, NOT_WRITTEN))
        async with self._turns:
            report = await walk(settings, _without_client, lambda hop, summary: None, aws)
        if report.interrupted:
            raise asyncio.CancelledError
        return report

    async def explain(self, arguments: Explain) -> Result:
        """The page of a code or an error, or what a log means."""
        if (arguments.text is None) == (arguments.file is None):
            raise UsageError("explain: give text or file, one of them")
        if arguments.file is not None:
            log, name = self._read(arguments.file), arguments.file
        else:
            log, name = (arguments.text or "").encode("utf-8", "replace"), "the text"
            if page := page_of(arguments.text or "", every_rule()):
                return _written(page, untrusted=False)
        return await asyncio.to_thread(_explained, log, clean(name, 200))

    async def lint(self, arguments: Lint) -> Result:
        """What will go wrong with a Kafka that these files configure."""
        sources = {}
        for name, data in self._files(arguments.files):
            try:
                sources[name] = decoded(data)
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from None
        return await asyncio.to_thread(_linted, sources)

    async def diff(self, arguments: Diff) -> Result:
        """What differs between saved reports."""
        return await asyncio.to_thread(_compared, self._files(arguments.reports))

    async def demo(self, arguments: Demo) -> Result:
        """A walk in an embedded cluster."""
        from kdiag.demo.scenarios import SCENARIOS  # 37 ms

        name = arguments.scenario
        if name not in SCENARIOS:
            known = ", ".join(SCENARIOS)
            raise UsageError(f"no scenario {quoted(name)}{near(name, SCENARIOS)}; there is {known}")
        async with self._turns:
            return _reported(await play(name))

    async def findings(self, arguments: Findings) -> Result:
        """Everything that kdiag can find."""
        return _written(lambda form, stream: of_all(form, every_rule(), stream), untrusted=False)

    def _files(self, files: list[GivenFile]) -> list[tuple[str, bytes]]:
        """The names and the bytes of files, each name once. Raises UsageError."""
        found: dict[str, bytes] = {}
        for file in files:
            name = clean(file.name, 200)
            if name in found:
                raise UsageError(f"{name} is given more than once")
            text = file.text
            found[name] = self._read(file.name) if text is None else text.encode("utf-8", "replace")
            if sum(map(len, found.values())) > MOST_INPUT:
                raise UsageError(f"the files have more than {MOST_INPUT >> 20} MiB together")
        return list(found.items())

    def _read(self, name: str) -> bytes:
        """The bytes of a file below the root; links lead nowhere else. Raises UsageError."""
        shown = clean(name, 200)
        if self._root is None:
            raise UsageError(f"{shown} is not read: give its text, or start kdiag mcp with --root")
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root):
                raise UsageError(f"{shown} is not in the folder that --root names")
            if not stat.S_ISREG(path.stat().st_mode):
                raise UsageError(f"{shown} is not a regular file")
            data = read(str(path), MOST_INPUT + 1)
        except OSError as error:
            raise UsageError(f"cannot read {shown}: {error.strerror}") from None
        except (ValueError, RuntimeError):
            raise UsageError(f"{shown} is not the name of a file") from None
        if len(data) > MOST_INPUT:
            raise UsageError(f"{shown} is larger than {MOST_INPUT >> 20} MiB")
        return data


class Tool(NamedTuple):
    """What an agent reads of a tool, the type of its arguments, and the method of Tools."""

    title: str
    description: str
    arguments: type[_Arguments]
    run: Callable[[Tools, Any], Awaitable[Result]]
    open_world: bool = False


TOOLS = {
    "check": Tool(
        "Say why a Kafka client cannot connect",
        "Walks what every Kafka client does: reach the bootstrap server, get the metadata, reach "
        "each advertised listener, produce. Names the hop that fails, one cause, the evidence and "
        "the fix. Runs from the machine of kdiag mcp. Writes no record and changes nothing.",
        Check,
        Tools.check,
        open_world=True,
    ),
    "explain": Tool(
        "Explain a code, an error or a log of Kafka",
        "The page of a finding or an error, or what the log of a client or broker means: which hop "
        "fails, and why. Dials nothing.",
        Explain,
        Tools.explain,
    ),
    "lint": Tool(
        "Check files that configure Kafka",
        "What will go wrong with a Kafka that is configured like this: a line for each mistake. "
        "Dials nothing and changes no file.",
        Lint,
        Tools.lint,
    ),
    "diff": Tool(
        "Compare reports of several places",
        "Which places see which cause, and what differs between them: one answer from saved "
        "reports.",
        Diff,
        Tools.diff,
    ),
    "demo": Tool(
        "Show a report of a made-up cluster",
        "Walks an embedded cluster with a known fault; no packet leaves the machine. A wrong name "
        "is answered with all names.",
        Demo,
        Tools.demo,
    ),
    "findings": Tool(
        "List all findings",
        "Code, name, severity and title of everything that kdiag can find.",
        Findings,
        Tools.findings,
    ),
}


def _without_client(settings: Settings) -> KafkaDialer:
    dialer = plain_dialer(settings)
    dialer.outside = False
    return dialer


def _explained(log: bytes, name: str) -> Result:
    from kdiag.logs.explain import explain  # 94 ms
    from kdiag.logs.render import render as say
    from kdiag.logs.stream import PackedLogError

    try:
        explanation = explain(io.BytesIO(log), name)
    except (OSError, PackedLogError) as error:
        raise UsageError(f"cannot read {name}: {error}") from None
    return _written(lambda form, stream: say(form, [explanation], stream))


def _linted(sources: Mapping[str, str]) -> Result:
    from kdiag.lint.linter import lint  # 106 ms
    from kdiag.lint.render import render as say

    report = lint(sources)
    return _written(lambda form, stream: say(form, report, stream))


def _compared(files: list[tuple[str, bytes]]) -> Result:
    found: dict[str, Report] = {}
    for file, data in files:
        name = file.removesuffix(".json")
        one = read_any(data, file)
        reports = {"": one} if isinstance(one, Report) else one.reports
        for label, report in reports.items():
            found[f"{name}: {label}" if label else name] = report
    if len(found) < 2:
        raise UsageError("diff needs the reports of at least two vantage points")
    return _reported(together(found, __version__, compared=True))


def _reported(report: Report | Reports, before: str = "") -> Result:
    result = _written(lambda form, stream: render(form, report, stream))
    return result._replace(text=before + result.text)


def _written(write: Callable[[str, io.StringIO], None], *, untrusted: bool = True) -> Result:
    """The result of what writes it in the forms `json` and `terminal`."""
    document, text = io.StringIO(), io.StringIO()
    write("json", document)
    write("terminal", text)
    return Result(cast(dict[str, Any], json.loads(document.getvalue())), text.getvalue(), untrusted)
