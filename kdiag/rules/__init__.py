"""The rules, declared when they are loaded: those of a walk, those on AWS, those on files."""


def load() -> None:
    """Declares the rules that every walk applies."""
    from kdiag.rules import (  # noqa: F401
        certificates,
        connection,
        identity,
        listeners,
        metadata,
        mismatch,
        produce,
        records,
        sasl,
        slow,
        tls,
        walk,
    )


def load_expect() -> None:
    """Declares the rule on expectations, which a walk without any has no use for."""
    from kdiag.rules import expect  # noqa: F401


def load_aws() -> None:
    """Declares the rules on AWS, which a walk that does not ask AWS has no use for."""
    from kdiag.aws.rules import account, blocked, managed  # noqa: F401


def load_config() -> None:
    """Declares the rules on configuration files; a walk has no use for them, nor they for it."""
    from kdiag.lint.rules import addresses, brokers, live, ports, shape, strimzi  # noqa: F401


def load_joined() -> None:
    """Declares the rules on files beside a walk."""
    from kdiag.lint.rules import kubernetes  # noqa: F401

    load_config()


def load_vantage() -> None:
    """Declares the rules on other vantage points, which a walk from here has no use for."""
    from kdiag.remote import rules  # noqa: F401


def load_all() -> None:
    """Declares every rule there is."""
    load()
    load_expect()
    load_aws()
    load_joined()
    load_vantage()
