"""kdiag serve over HTTP: probes, and what it does with targets, logins and configurations."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdiag.demo.broker import SILENCE
from kdiag.demo.logins import Logins
from kdiag.kafka.messages import SASL_AUTHENTICATE, Request
from kdiag.serve.history import MOST, History
from kdiag.serve.probing import AGAIN
from kdiag.serve.server import ServeOptions
from tests.peers import silent
from tests.running import Brokers
from tests.serve.conftest import Answer, Served, Start, write

SECRET = "hunter2-hunter2"


def at(bootstrap: str, more: str = "") -> str:
    return f'bootstrap = "{bootstrap}"\n{more}'


def logging_in(bootstrap: str, password: str = SECRET) -> str:
    return at(
        bootstrap,
        'properties = {"security.protocol" = "SASL_PLAINTEXT", "sasl.mechanism" = "PLAIN", '
        f'"sasl.username" = "monitor", "sasl.password" = "{password}"}}',
    )


def cause(answer: Answer) -> str | None:
    """The code of the root cause among the metrics."""
    found = re.search(r'^kdiag_root_cause_info\{.*code="(KD\d+)".*\} 1$', answer.text, re.MULTILINE)
    return found.group(1) if found else None


async def results(served: Served) -> dict[str, float]:
    """How many probes ended how."""
    text = (await served.get("/metrics")).text
    return {
        name: float(value)
        for name, value in re.findall(r'^kdiag_probes_total\{result="(\w+)"\} (\S+)', text, re.M)
        if float(value)
    }


async def test_a_healthy_target(start: Start, brokers: Brokers) -> None:
    served = await start(prod=at(brokers.three().bootstrap))
    answer = await served.probe("prod")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["probe_success"].samples[0].value == 1
    assert 0 < families["probe_duration_seconds"].samples[0].value < 30
    assert "probe_ssl_earliest_cert_expiry" not in families
    assert "kdiag_root_cause_info" not in families
    passed = {
        sample.labels["hop"]
        for sample in families["kdiag_hop_status"].samples
        if sample.labels["status"] == "pass" and sample.value
    }
    assert passed == {"bootstrap", "metadata", "listeners", "produce"}
    layers = {
        (sample.labels["subject"], sample.labels["layer"])
        for sample in families["kdiag_layer_duration_seconds"].samples
    }
    assert {("broker 2", "tcp"), ("broker 3", "identity")} <= layers
    assert (f"bootstrap {brokers.bootstrap}", "kafka") in layers


async def test_the_cause_is_a_metric(start: Start) -> None:
    served = await start(closed=at("127.0.0.1:1"))
    answer = await served.probe("closed")
    assert (answer.status, answer.metric("probe_success"), cause(answer)) == (200, 0, "KD103")
    assert 'name="refused",hop="bootstrap"' in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?target=",
        "?target=none",
        "?target=127.0.0.1:1",
        "?target=@127.0.0.1:1",
        "?target=closed&target=closed",
        "?target=%00%ff%0d%0aX:1",
        f"?target={'x' * 8000}",
        f"?target={'%ff' * 3000}",
    ],
)
async def test_another_target_is_refused_in_a_short_sentence(start: Start, query: str) -> None:
    served = await start(closed=at("127.0.0.1:1"))
    answer = await served.get(f"/probe{query}")
    assert answer.status == 400
    assert len(answer.text) < 400
    assert answer.text.isprintable() or answer.text[:-1].isprintable()
    assert await results(served) == {"rejected": 1}


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf", "1e999", "ten", "9" * 500])
async def test_a_limit_that_is_no_time_is_refused(start: Start, limit: str) -> None:
    served = await start(closed=at("127.0.0.1:1"))
    answer = await served.probe("closed", X_Prometheus_Scrape_Timeout_Seconds=limit)
    assert answer.status == 400


async def test_what_is_no_request_ends_nothing(start: Start) -> None:
    """A request line that does not end, and bytes that are no HTTP."""
    served = await start(closed=at("127.0.0.1:1"))
    for sent in (b"GET /probe?target=" + b"x" * 70_000, b"\x16\x03\x01\x02\x00" * 30 + b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(sent)
        heard = await reader.read(200)
        assert heard.startswith(b"HTTP/1.1 400")
        writer.close()
    assert (await served.get("/-/healthy")).status == 200


async def test_any_target_is_walked_to_without_credentials(
    start: Start, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDIAG_X_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KDIAG_X_SASL_USERNAME", "monitor")
    monkeypatch.setenv("KDIAG_X_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KDIAG_X_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    logins = Logins(users={"monitor": SECRET})
    bootstrap = brokers.many(1, sasl=logins).bootstrap
    served = await start(ServeOptions(("127.0.0.1", 0), allow_any=True), prod=at(bootstrap))
    answer = await served.probe(bootstrap)
    assert (answer.status, cause(answer), sum(logins.attempts.values())) == (200, "KD117", 0)
    assert served.log == [], "nothing is remembered of a target that anybody may name"
    assert (await served.probe("prod")).metric("probe_success") == 1
    assert sum(logins.attempts.values()) > 0, "the named one logs in"


async def test_who_asks_meanwhile_shares_the_answer(start: Start, brokers: Brokers) -> None:
    brokers.many(1).brokers[1].delay = lambda _: 0.1
    served = await start(prod=at(brokers.bootstrap))
    first, *others = await asyncio.gather(*(served.probe("prod") for _ in range(5)))
    assert {answer.text for answer in others} == {first.text}
    alone = brokers.brokers[1].connections
    await served.probe("prod")
    assert brokers.brokers[1].connections == 2 * alone


async def test_a_frozen_broker_delays_nobody_else(start: Start, brokers: Brokers) -> None:
    frozen = brokers.serve(silent)
    served = await start(frozen=at(f"127.0.0.1:{frozen}"), prod=at(brokers.many(1).bootstrap))
    waiting = asyncio.create_task(served.probe("frozen", X_Prometheus_Scrape_Timeout_Seconds="3"))
    await asyncio.sleep(0.05)
    assert (await served.probe("prod")).metric("probe_success") == 1
    assert not waiting.done()
    answer = await waiting
    assert (answer.metric("probe_success"), cause(answer)) == (0, "KD107")
    assert answer.metric("probe_duration_seconds") < 2.5, "the scrape's time less the offset"


async def test_where_too_much_is_under_way_a_probe_says_so(start: Start, brokers: Brokers) -> None:
    frozen = brokers.serve(silent)
    served = await start(
        ServeOptions(("127.0.0.1", 0), at_once=1),
        frozen=at(f"127.0.0.1:{frozen}"),
        prod=at(brokers.many(1).bootstrap),
    )
    waiting = asyncio.create_task(served.probe("frozen", X_Prometheus_Scrape_Timeout_Seconds="2"))
    while not served.service.prober.in_progress:
        await asyncio.sleep(0.01)
    answer = await served.probe("prod", X_Prometheus_Scrape_Timeout_Seconds="0.6")
    assert answer.status == 503
    assert "1 walks are under way" in answer.text
    assert (await waiting).status == 200
    assert (await served.probe("prod")).metric("probe_success") == 1
    assert await results(served) == {"busy": 1, "walked": 2}


async def test_a_refused_login_is_not_repeated_until_the_configuration_changes(
    start: Start, brokers: Brokers, toml: Path
) -> None:
    logins = Logins(users={"monitor": SECRET})
    bootstrap = brokers.many(1, sasl=logins).bootstrap
    served = await start(prod=logging_in(bootstrap, "wrong-wrong"))
    first = await served.probe("prod")
    assert (cause(first), first.metric("kdiag_login_withheld")) == ("KD120", 0)
    assert (await served.get("/-/reload", "POST")).status == 200, "with nothing changed"
    for _ in range(3):
        again = await served.probe("prod")
        assert (cause(again), again.metric("kdiag_login_withheld")) == ("KD120", 1)
        assert "the login was refused, and is not tried again" in again.text
    assert logins.attempts["monitor"] == 1
    assert await results(served) == {"walked": 1, "withheld": 3}
    write(toml, prod=logging_in(bootstrap))
    assert (await served.get("/-/reload", "POST")).status == 200
    assert (await served.probe("prod")).metric("probe_success") == 1
    assert "wrong-wrong" not in first.text + "".join(served.log)


async def test_a_login_without_an_answer_is_repeated_where_it_was_accepted_before(
    start: Start, brokers: Brokers
) -> None:
    """What hangs may be the account's server, which counts; a known password locks nothing."""

    def hangs(request: Request) -> object:
        return SILENCE if request.api is SASL_AUTHENTICATE else None

    logins = Logins(users={"monitor": SECRET})
    bootstrap = brokers.many(1, sasl=logins).bootstrap
    short = "answer-timeout = 0.2"
    served = await start(prod=f"{short}\n{logging_in(bootstrap)}")
    broker = brokers.brokers[1]
    hours = [0.0]
    served.service.prober._clock = lambda: hours[0] * 3600
    usual, broker.control = broker.control, hangs
    for withheld in (0, 1, 1):
        assert (await served.probe("prod")).metric("kdiag_login_withheld") == withheld
    hours[0] = AGAIN / 3600
    broker.control = usual
    assert (await served.probe("prod")).metric("probe_success") == 1
    broker.control = hangs
    for _ in range(2):
        answer = await served.probe("prod")
        assert (answer.metric("probe_success"), answer.metric("kdiag_login_withheld")) == (0, 0)
    broker.control = usual
    assert (await served.probe("prod")).metric("probe_success") == 1


async def test_a_wrong_configuration_keeps_the_old_one(start: Start, toml: Path) -> None:
    served = await start(closed=at("127.0.0.1:1"))
    for wrong in ("[targets", '[targets.closed]\nbootstrap = "a:b:c"', ""):
        toml.write_text(wrong)
        answer = await served.get("/-/reload", "POST")
        assert answer.status == 500
        assert answer.text.startswith("the old configuration stays in use: ")
        own = await served.get("/metrics")
        assert own.metric("kdiag_config_last_reload_successful") == 0
        assert cause(await served.probe("closed")) == "KD103"
        assert "reload failed" in served.log[-1] or "KD103" in served.log[-1]
    write(toml, other=at("127.0.0.1:2"))
    assert (await served.get("/-/reload", "POST")).text == "1 targets are in use\n"
    own = await served.get("/metrics")
    assert own.metric("kdiag_config_last_reload_successful") == 1
    assert (await served.probe("closed")).status == 400
    assert (await served.probe("other")).metric("probe_success") == 0
    assert (await served.get("/-/reload")).status == 405, "a link must not reload"


async def test_each_change_is_one_line(start: Start, brokers: Brokers) -> None:
    brokers.many(1)
    served = await start(prod=at(brokers.bootstrap))
    broker = brokers.brokers[1]
    usual = broker.control
    for control in (usual, lambda _: SILENCE, usual):
        broker.control = control
        for _ in range(2):
            await served.probe("prod", X_Prometheus_Scrape_Timeout_Seconds="1")
    began, ended, again = served.log
    assert " prod: pass" in began
    assert " prod: fail at bootstrap: KD107 silent-peer: " in ended
    assert "(was pass since 20" in ended
    assert "prod: pass (was fail at bootstrap: KD107 since 20" in again


async def test_changes_as_json(start: Start) -> None:
    options = ServeOptions(("127.0.0.1", 0), log_format="json")
    served = await start(options, closed=at("127.0.0.1:1"))
    await served.probe("closed")
    (line,) = served.log
    found = json.loads(line)
    assert found["target"] == "closed"
    assert (found["verdict"], found["failing_hop"], found["root_cause"], found["previous"]) == (
        *("fail", "bootstrap", "KD103"),
        None,
    )


async def test_the_page_of_all_targets(start: Start, brokers: Brokers) -> None:
    served = await start(
        prod=at(brokers.many(1).bootstrap), closed=at("127.0.0.1:1"), new=at("h:1")
    )
    for target in ("prod", "closed", "closed"):
        await served.probe(target)
    page = (await served.get("/")).text
    assert "1 of 3 targets fail" in page
    assert page.index("closed") < page.index("prod"), "what fails comes first"
    assert page.count("<svg") == 4, "a picture of each probed target, wide and narrow"
    assert "Nobody has probed it yet." in page
    assert "The last 2 reports" in page
    assert f"since {served.service.prober.histories['closed'].since}" in page
    links = re.findall(r'href="(report\?[^"]+)"', page)
    assert len(links) == 3
    whole = await served.get(f"/{links[0].replace('&amp;', '&')}")
    assert whole.status == 200
    assert "KD103" in whole.text
    for query in ("", "?target=closed", "?target=closed&number=99", "?target=no&number=1"):
        assert (await served.get(f"/report{query}")).status in (400, 404)


async def test_the_last_reports_are_kept_in_little_room(start: Start) -> None:
    served = await start(closed=at("127.0.0.1:1"))
    await served.probe("closed")
    history = served.service.prober.histories["closed"]
    report = history.last
    assert report
    for _ in range(MOST + 5):
        assert history.add(report) is None
    assert len(history.past) == MOST
    assert history.find(1) is None
    assert history.past[-1].report() == report
    assert sum(len(past.packed) for past in history.past) < MOST * 2000


@pytest.fixture
def frozen() -> Iterator[None]:
    """What earlier tests have left is neither counted nor looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen")
async def test_a_hundred_probes_leave_nothing_behind(start: Start, brokers: Brokers) -> None:
    """Neither descriptors nor objects: the benchmark does it for ten thousand."""
    served = await start(prod=at(brokers.many(1).bootstrap), closed=at("127.0.0.1:1"))
    prober = served.service.prober
    for name in prober.histories:
        prober.histories[name] = History(deque(maxlen=3))

    async def after(probes: int) -> tuple[int, ...]:
        for _ in range(probes):
            await asyncio.gather(prober.probe("prod"), prober.probe("closed"))
        found = await held()
        for _ in range(40):  # the brokers' ends of connections are closed a moment later
            await asyncio.sleep(0.05)
            found = tuple(map(min, found, await held()))
        return found

    async def held() -> tuple[int, ...]:
        brokers.brokers[1].requests.clear()
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        return descriptors, len(gc.get_objects()), len(asyncio.all_tasks())

    descriptors, objects, tasks = await after(15)
    for _ in range(3):  # what is made once, as for an answer that is late, is made in one of them
        before, later = objects, await after(35)
        objects = later[1]
        if objects < before + 70:
            break
    assert later[0] <= descriptors + 2
    assert objects < before + 70, "less than one for each walk"
    assert later[2] == tasks
