"""What a rule is: a pure function from facts to findings, declared where it is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import ModuleType
from typing import cast

from kdiag.config.links import page
from kdiag.config.record import NamedTuple, dataclass
from kdiag.config.snippet import fill
from kdiag.config.usage import UsageError, near, word
from kdiag.walk.areas import AreaId
from kdiag.walk.facts import Facts, needed


class Severity(str, Enum):
    """The severity of a finding. An error fails its hop; a warning does so only with
    `--fail-on warning`."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Remedy:
    """One way to fix it. `snippet` is to be copied; `kind` says what it is: yaml, properties, …"""

    summary: str
    snippet: str = ""
    kind: str = "text"

    def __post_init__(self) -> None:
        object.__setattr__(self, "snippet", str(self.snippet))  # a plain one, for JSON


def remedy(summary: str, snippet: str = "", kind: str = "shell", **values: object) -> Remedy:
    """A remedy; with `values`, `snippet` is a template that they fill, quoted for its `kind`."""
    filled = fill(kind, snippet, **values) if values else snippet
    return Remedy(summary, filled, kind if snippet else "text")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule found. `subjects` name what it is about, `evidence` what it rests on.

    `consequence_of` is the code of the finding that explains this one, None for a cause. One that
    is `ignored` was asked not to count.
    """

    code: str
    name: str
    severity: Severity
    hop: AreaId
    title: str
    message: str
    subjects: list[str]
    evidence: list[str]
    remedies: list[Remedy]
    consequence_of: str | None = None
    url: str
    ignored: bool = False


@dataclass(frozen=True)
class Match:
    """What a rule yields each time it applies; the rule's declaration adds the rest.

    `severity` overrides the declared one: a failure that something else makes up for is a warning.
    """

    hop: str
    message: str
    subjects: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    severity: Severity | None = None


class Note(NamedTuple):
    """A statement of a rule that is no finding; the report lists it among its notes."""

    text: str


Judge = Callable[..., Iterator[Match | Note]]


class Rule(NamedTuple):
    """A declared rule. `needs` are the types of the facts that it takes, in the order of its
    parameters; those in `optional` may be None."""

    code: str
    name: str
    severity: Severity
    title: str
    judge: Judge
    needs: tuple[type, ...]
    optional: frozenset[type] = frozenset()

    @property
    def area(self) -> int:
        """The number of its area: 3 of KD301, 10 of KD1001."""
        return int(self.code[2:-2])

    @property
    def doc(self) -> str:
        """The docstring: the page that `kdiag explain` and docs/findings.md print."""
        return inspect.getdoc(self.judge) or ""

    @property
    def url(self) -> str:
        """The address at which that page is published."""
        return rule_url(self.code)

    def apply(self, facts: Facts) -> Iterator[Finding]:
        """The rule's findings; none where a needed fact is missing."""
        return (self.finding(match) for match in self.matches(facts))

    def matches(self, facts: Facts) -> Iterator[Match]:
        """The rule's matches, without its notes; none where a needed fact is missing."""
        return (result for result in self.judged(facts) if isinstance(result, Match))

    def judged(self, facts: Facts) -> Iterator[Match | Note]:
        """The rule's matches and notes; none where a needed fact is missing."""
        arguments = facts.arguments(self.needs, self.optional)
        return iter(()) if arguments is None else self.judge(*arguments)

    def finding(self, match: Match) -> Finding:
        """The finding of a match: code, name and title come from the declaration."""
        return Finding(
            code=self.code,
            name=self.name,
            severity=match.severity or self.severity,
            hop=cast("AreaId", match.hop),
            title=self.title,
            message=match.message,
            subjects=list(match.subjects),
            evidence=list(match.evidence),
            remedies=list(match.remedies),
            url=self.url,
        )


NEVER_IGNORED = ("KD001", "KD002")


def rule(code: str, name: str, severity: Severity, title: str) -> Callable[[Judge], Rule]:
    """Declares a rule: code, name, severity and title here, its page in the docstring, the facts
    that it needs in the signature. The rule runs when all facts are known; one that is declared as
    `T | None` may be missing."""

    def declare(judge: Judge) -> Rule:
        return Rule(code, name, severity, title, judge, *needed(judge))

    return declare


def declared(*modules: ModuleType) -> dict[str, Rule]:
    """The rules of these modules, by code, in the order of their declaration. Raises ValueError
    when two rules have one code."""
    found: dict[str, Rule] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Rule) and found.setdefault(value.code, value) is not value:
                raise ValueError(f"{value.code} is declared twice")
    return found


def ignorable(
    names: Iterable[str], rules: Mapping[str, Rule], place: str = "--ignore"
) -> tuple[str, ...]:
    """The codes of the rules that `names` select, each by code or name. `place` names the option in
    an error. Raises UsageError for an unknown name, and for a code that always counts."""
    known = {name: rule.code for rule in rules.values() for name in (rule.code, rule.name)}
    found = []
    for name in names:
        code = known.get(name.upper(), known.get(name.lower(), ""))
        if not code:
            hint = near(name.upper() if name[:2].lower() == "kd" else name.lower(), known)
            raise UsageError(f"{place} {word(name)}: no such finding{hint}; see kdiag findings")
        if code in NEVER_IGNORED:
            raise UsageError(
                f"{place} {word(name)}: it says that something was not checked at all, and always "
                "counts"
            )
        found.append(code)
    return tuple(dict.fromkeys(found))


def rule_url(code: str) -> str:
    """The address of a code's page. It ends in #kd301, also where no site has it."""
    return page("findings", code.lower())
