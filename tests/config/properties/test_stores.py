"""Key stores of every kind, made by keytool and openssl as users make them, read into PEM."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kdiag.config.properties import jks, pem, stores
from kdiag.config.properties.dialects import KeySource
from kdiag.config.usage import UsageError

pytestmark = pytest.mark.xdist_group("stores")  # they are made once

QUICKLY = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")  # half of what Java takes to start
PASSWORD, KEY_PASSWORD, WRONG = "store-hunter2", "key-hunter2", "wrong-hunter2"
quick = hypothesis_settings(max_examples=200, deadline=None, database=None, derandomize=True)

keytool_only = pytest.mark.skipif(
    not shutil.which("keytool"), reason="needs keytool, which comes with Java"
)
openssl_only = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")


@dataclass(frozen=True)
class Made:
    """A folder of files made once: an authority, and an identity with an intermediate."""

    folder: Path
    ca: str
    chain: str
    key: str

    def __call__(self, name: str) -> str:
        return str(self.folder / name)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def run(self, *command: str) -> None:
        quickly = QUICKLY if command[0] == "keytool" else ()
        done = subprocess.run(
            (*command, *quickly), cwd=self.folder, capture_output=True, encoding="utf-8", timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def private(key: str) -> int:
    """What makes a key that key, in whichever form it is written."""
    numbers = load_pem_private_key(key.encode(), None).private_numbers()  # type: ignore[union-attr]
    return getattr(numbers, "private_value", 0) or getattr(numbers, "d", 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = trustme.CA()
    middle = root.create_child_ca()
    leaf = middle.issue_cert("client.example")
    found = Made(
        tmp_path_factory.mktemp("stores"),
        root.cert_pem.bytes().decode(),
        "".join(blob.bytes().decode() for blob in leaf.cert_chain_pems),
        leaf.private_key_pem.bytes().decode(),
    )
    found.write("ca.pem", found.ca)
    found.write("other.pem", trustme.CA().cert_pem.bytes())
    found.write("chain.pem", found.chain)
    found.write("key.pem", found.key)
    found.write("both.pem", found.key + found.chain)
    return found


@pytest.fixture(scope="module")
def java(made: Made) -> Made:
    """The same in stores that keytool makes."""
    key = ("-srcstoretype", "PKCS12", "-srckeystore", "for-java.p12", "-srcstorepass", PASSWORD)
    made.run(
        *("openssl", "pkcs12", "-export", "-in", "chain.pem", "-inkey", "key.pem"),
        *("-passout", f"pass:{PASSWORD}", "-out", "for-java.p12", "-name", "client"),
    )
    for kind in ("JKS", "PKCS12"):
        for alias in ("ca", "other"):
            made.run(
                *("keytool", "-importcert", "-noprompt", "-alias", alias, "-file", f"{alias}.pem"),
                *("-keystore", f"trust.{kind}", "-storetype", kind, "-storepass", PASSWORD),
            )
        made.run(
            *("keytool", "-importkeystore", "-noprompt", *key, "-deststoretype", kind),
            *("-destkeystore", f"key.{kind}", "-deststorepass", PASSWORD),
        )
    made.run(
        *("keytool", "-importkeystore", "-noprompt", *key, "-deststoretype", "JKS"),
        *("-destkeystore", "locked.JKS", "-deststorepass", PASSWORD),
        *("-srcalias", "client", "-destkeypass", KEY_PASSWORD),
    )
    for kind in ("JKS", "PKCS12", "JCEKS"):
        for alias in ("first", "second")[: 1 if kind == "JCEKS" else 2]:
            made.run(
                *("keytool", "-genkeypair", "-keyalg", "EC", "-dname", "CN=x", "-alias", alias),
                *("-keystore", f"two.{kind}", "-storetype", kind, "-storepass", PASSWORD),
                *("-keypass", PASSWORD),
            )
    return made


def store(path: str, password: str | None = PASSWORD, **more: str) -> KeySource:
    name = more.pop("name", "ssl.keystore.location")
    password_name = name.replace("location", "password")
    return KeySource(
        name, path=path, kind="STORE", password=password, password_name=password_name, **more
    )


def trust(path: str, password: str | None = PASSWORD) -> KeySource:
    return store(path, password, name="ssl.truststore.location")


def refused(call: Callable[[], object]) -> str:
    """The sentence of the UsageError that the call must raise, which holds no password."""
    with pytest.raises(UsageError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()
    assert "hunter2" not in text
    return text


def subjects(text: str) -> list[str]:
    found = load_pem_x509_certificates(text.encode())
    return [certificate.subject.rfc4514_string() for certificate in found]


def same(text: str, other: str) -> bool:
    return load_pem_x509_certificates(text.encode()) == load_pem_x509_certificates(other.encode())


# PEM


def test_pem_certificates_are_read_from_a_file_and_from_text(made: Made) -> None:
    assert stores.trusted(KeySource("ssl.ca.location", path=made("ca.pem"))) == made.ca
    assert stores.trusted(KeySource("ssl.ca.pem", text=made.ca)) == made.ca
    assert same(stores.trusted(KeySource("ssl.ca.location", path=made("chain.pem"))), made.chain)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeffsubject=CN = x\nissuer=...\n" + text,
        lambda text: text.replace("\n", "\n    "),
        lambda text: text.replace("CERTIFICATE", "X509 CERTIFICATE"),
    ],
)
def test_pem_is_read_in_whichever_lines_it_comes(made: Made, spoilt: Callable[[str], str]) -> None:
    assert stores.trusted(KeySource("ssl.ca.pem", text=spoilt(made.ca))) == made.ca
    path = made.write("spoilt.pem", spoilt(made.ca))
    assert stores.trusted(KeySource("ssl.ca.location", path=path)) == made.ca


def test_an_identity_is_read_from_two_pem_files_or_from_one(made: Made) -> None:
    certificate = KeySource("ssl.certificate.location", path=made("chain.pem"))
    key = KeySource("ssl.key.location", path=made("key.pem"))
    both = KeySource("ssl.keystore.location", path=made("both.pem"))
    for chain, found in (stores.pair(certificate, key), stores.identity(both)):
        assert same(chain, made.chain)
        assert private(found) == private(made.key)
        assert found.startswith("-----BEGIN PRIVATE KEY-----\n")


def test_what_is_read_is_what_python_and_openssl_take(made: Made, tmp_path: Path) -> None:
    context = ssl.create_default_context(
        cadata=stores.trusted(KeySource("ssl.ca.location", path=made("ca.pem")))
    )
    chain, key = stores.identity(KeySource("ssl.keystore.location", path=made("both.pem")))
    (tmp_path / "both.pem").write_text(chain + key)
    context.load_cert_chain(tmp_path / "both.pem")
    assert len(context.get_ca_certs()) == 1


@openssl_only
@pytest.mark.parametrize("form", [("pkcs8", "-topk8"), ("ec", "-aes128")])
def test_an_encrypted_key_is_opened(made: Made, form: tuple[str, str]) -> None:
    name = f"encrypted-{form[0]}.pem"
    made.run(
        *("openssl", *form, "-in", "key.pem", "-out", name, "-passout", f"pass:{KEY_PASSWORD}")
    )
    assert "ENCRYPTED" in Path(made(name)).read_text()
    certificate = KeySource("ssl.certificate.location", path=made("chain.pem"))

    def key(password: str | None) -> KeySource:
        return KeySource("ssl.key.location", path=made(name), key_password=password)

    _, found = stores.pair(certificate, key(KEY_PASSWORD))
    assert private(found) == private(made.key)
    assert "ENCRYPTED" not in found
    wrong = refused(lambda: stores.pair(certificate, key(WRONG)))
    assert wrong.endswith(": ssl.key.password does not open the private key")
    none = refused(lambda: stores.pair(certificate, key(None)))
    assert none.endswith(": the private key is encrypted: set ssl.key.password")


def test_a_password_for_a_key_that_needs_none_does_no_harm(made: Made) -> None:
    key = KeySource("ssl.key.location", path=made("key.pem"), key_password=KEY_PASSWORD)
    certificate = KeySource("ssl.certificate.location", path=made("chain.pem"))
    assert private(stores.pair(certificate, key)[1]) == private(made.key)


@openssl_only
def test_a_directory_is_searched_as_openssl_searches_it(made: Made, tmp_path: Path) -> None:
    source = KeySource("ssl.ca.location", path=str(tmp_path))
    answer = refused(lambda: stores.trusted(source))
    assert "is a directory without hashed certificates" in answer
    for name in ("ca.pem", "other.pem"):
        shutil.copy(made(name), tmp_path)
    assert "openssl rehash" in refused(lambda: stores.trusted(source))
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, timeout=60)
    assert len(load_pem_x509_certificates(stores.trusted(source).encode())) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello", "is neither PEM nor a key store"),
        (b"<html><body>404</body></html>", "is neither PEM nor a key store"),
        (b"\x30\x82\x01\x0a\x30\x81", "is DER, the binary form of one certificate or key"),
        (b"\xce\xce\xce\xce\x00\x00", "is a Java key store of type JCEKS"),
        (b"\xfe\xed\xfe\xed\x00\x00", "is a Java key store (JKS); this property needs PEM: write"),
        (b"-----BEGIN CERTIFICATE-----\n", "holds no certificate in PEM form"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
            "holds no certificate, but PRIVATE KEY",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----",
            "certificate 1 is damaged, not base64",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "a certificate in it is damaged",
        ),
    ],
)
def test_a_file_that_is_no_pem_is_told_for_what_it_is(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    answer = refused(lambda: stores.trusted(KeySource("ssl.ca.location", path=str(path))))
    assert answer.startswith(f"ssl.ca.location='{path}'")
    assert says in answer


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    answer = refused(lambda: stores.trusted(KeySource("ssl.ca.location", path=missing)))
    assert answer == f"ssl.ca.location='{missing}': cannot read it: No such file or directory"
    folder = refused(lambda: stores.identity(store(str(tmp_path))))
    assert folder == f"ssl.keystore.location='{tmp_path}': cannot read it: Is a directory"
    nul = refused(lambda: stores.trusted(KeySource("ssl.ca.location", path="a\0b")))
    assert "not a file name" in nul


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "large.pem"
    path.write_bytes(b"-" * (stores.MAX_STORE + 1))
    answer = refused(lambda: stores.trusted(KeySource("ssl.ca.location", path=str(path))))
    assert "is larger than a key store: 4 MiB at most" in answer


def test_pem_text_in_the_place_of_a_file_name_is_not_shown(made: Made) -> None:
    answer = refused(lambda: stores.trusted(KeySource("ssl.key.location", path=made.key)))
    assert answer == "ssl.key.location needs the name of a file, but has PEM text"


def test_a_key_that_is_not_the_certificates_own(made: Made) -> None:
    stranger = trustme.CA().issue_cert("x").private_key_pem.bytes().decode()
    certificate = KeySource("ssl.certificate.location", path=made("chain.pem"))
    answer = refused(lambda: stores.pair(certificate, KeySource("ssl.key.pem", text=stranger)))
    assert "is not the one of the private key in ssl.key.pem" in answer


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no private key; it must hold one"),
        ("{key}{key}", "holds 2 private keys; it must hold one"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "cannot read the private key",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n%%\n-----END PRIVATE KEY-----",
            "cannot read the private key",
        ),
    ],
)
def test_a_key_that_is_none(made: Made, text: str, says: str) -> None:
    key = KeySource("ssl.key.pem", text=text.replace("{key}", made.key))
    certificate = KeySource("ssl.certificate.pem", text=made.chain)
    answer = refused(lambda: stores.pair(certificate, key))
    assert answer.startswith("ssl.key.pem")
    assert says in answer


# Java's stores


@keytool_only
@openssl_only
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_a_trust_store_of_keytool(java: Made, kind: str) -> None:
    found = stores.trusted(trust(java(f"trust.{kind}")))
    both = java.ca + Path(java("other.pem")).read_text()
    assert {c.serial_number for c in load_pem_x509_certificates(found.encode())} == {
        c.serial_number for c in load_pem_x509_certificates(both.encode())
    }


@keytool_only
@openssl_only
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_a_key_store_of_keytool(java: Made, kind: str) -> None:
    chain, key = stores.identity(store(java(f"key.{kind}")))
    assert same(chain, java.chain)
    assert private(key) == private(java.key)


@keytool_only
@openssl_only
def test_a_key_with_a_password_of_its_own(java: Made) -> None:
    path = java("locked.JKS")
    chain, key = stores.identity(store(path, key_password=KEY_PASSWORD))
    assert same(chain, java.chain)
    assert private(key) == private(java.key)
    # without the store's password its integrity goes unchecked, as with Java
    assert stores.identity(store(path, None, key_password=KEY_PASSWORD)) == (chain, key)
    for source in (store(path), store(path, key_password=WRONG)):
        answer = refused(lambda source=source: stores.identity(source))  # type: ignore[misc]
        assert "ssl.key.password, or else ssl.keystore.password, does not open the priv" in answer


@keytool_only
@openssl_only
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_a_wrong_password_is_named_and_never_shown(java: Made, kind: str) -> None:
    said = refused(lambda: stores.trusted(trust(java(f"trust.{kind}"), WRONG)))
    assert said.endswith(": ssl.truststore.password is wrong, or the file is damaged")
    said = refused(lambda: stores.identity(store(java(f"key.{kind}"), WRONG)))
    assert said.endswith(": ssl.keystore.password is wrong, or the file is damaged")


@keytool_only
@openssl_only
def test_what_needs_no_password_and_what_does(java: Made) -> None:
    assert len(subjects(stores.trusted(trust(java("trust.JKS"), None)))) == 2
    said = refused(lambda: stores.trusted(trust(java("trust.PKCS12"), None)))
    assert said.endswith(": it needs a password: set ssl.truststore.password")
    said = refused(lambda: stores.identity(store(java("key.JKS"), None)))
    assert said.endswith(" is a Java key store: set ssl.keystore.password")


@keytool_only
@openssl_only
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_a_store_for_the_other_purpose(java: Made, kind: str) -> None:
    said = refused(lambda: stores.identity(store(java(f"trust.{kind}"))))
    assert said.endswith(" holds no private key: it is a trust store, or the wrong file")
    # a trust store may hold a key: Java then trusts the first certificate of its chain
    assert subjects(stores.trusted(trust(java(f"key.{kind}"))))[0] == subjects(java.chain)[0]


@keytool_only
@openssl_only
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_more_than_one_key(java: Made, kind: str) -> None:
    said = refused(lambda: stores.identity(store(java(f"two.{kind}"))))
    assert "holds 2 private keys ('first', 'second'), so it is not clear which one" in said


@keytool_only
@openssl_only
def test_a_store_that_must_be_converted(java: Made) -> None:
    said = refused(lambda: stores.identity(store(java("two.JCEKS"))))
    assert said.endswith("convert it with keytool -importkeystore -deststoretype PKCS12")


@keytool_only
@openssl_only
def test_every_byte_that_is_changed_or_missing_is_noticed(java: Made) -> None:
    whole = Path(java("key.JKS")).read_bytes()
    for at in range(0, len(whole), 97):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            with pytest.raises((jks.Damaged, jks.WrongPassword)):
                jks.entries(damaged, PASSWORD)
            path = java.write("damaged.JKS", damaged)
            refused(lambda path=path: stores.identity(store(path)))  # type: ignore[misc]


@given(data=st.binary(max_size=200))
@quick
def test_no_bytes_are_too_strange_for_a_java_store(data: bytes) -> None:
    for password in (None, PASSWORD):
        with pytest.raises((jks.Damaged, jks.WrongPassword)):
            jks.entries(jks.MAGIC + b"\0\0\0\2\0\0\0\1" + data, password)
    with pytest.raises((jks.Damaged, jks.WrongPassword)):
        jks.unprotect(data, PASSWORD)


def test_a_store_whose_counts_are_absurd_costs_nothing() -> None:
    for count in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"):
        with pytest.raises(jks.Damaged):
            jks.entries(jks.MAGIC + b"\0\0\0\2" + count + b"\0" * 64, None)


def test_pem_where_java_expects_a_store(made: Made) -> None:
    said = refused(lambda: stores.trusted(trust(made("ca.pem"))))
    assert said.endswith(" is PEM, which a Java client reads only with ssl.truststore.type=PEM")
    said = refused(lambda: stores.identity(store(made("both.pem"))))
    assert said.endswith(" is PEM, which a Java client reads only with ssl.keystore.type=PEM")


@keytool_only
@openssl_only
def test_a_store_where_pem_is_expected(java: Made) -> None:
    source = KeySource("ssl.truststore.location", path=java("trust.JKS"))  # ssl.truststore.type=PEM
    said = refused(lambda: stores.trusted(source))
    assert said.endswith("(JKS); ssl.truststore.type=PEM needs PEM: leave it out")
    key = KeySource("ssl.key.location", path=java("key.PKCS12"))
    said = refused(lambda: stores.pair(KeySource("ssl.certificate.pem", text=java.chain), key))
    assert said.endswith(
        "PKCS#12 key store; this property needs PEM: write ssl.keystore.location instead"
    )


# PKCS#12 of openssl


@openssl_only
@pytest.mark.parametrize("options", [(), ("-legacy",), ("-keypbe", "NONE", "-certpbe", "NONE")])
def test_a_pkcs12_of_openssl(made: Made, options: tuple[str, ...]) -> None:
    made.run(
        *("openssl", "pkcs12", "-export", "-in", "chain.pem", "-inkey", "key.pem", *options),
        *("-passout", f"pass:{PASSWORD}", "-out", "openssl.p12"),
    )
    chain, key = stores.identity(store(made("openssl.p12")))
    assert same(chain, made.chain)
    assert private(key) == private(made.key)
    said = refused(lambda: stores.identity(store(made("openssl.p12"), WRONG)))
    assert said.endswith(": ssl.keystore.password is wrong, or the file is damaged")


@openssl_only
def test_a_pkcs12_without_a_password(made: Made) -> None:
    made.run(
        *("openssl", "pkcs12", "-export", "-in", "chain.pem", "-inkey", "key.pem"),
        *("-passout", "pass:", "-out", "open.p12"),
    )
    for password in (None, ""):
        assert private(stores.identity(store(made("open.p12"), password))[1]) == private(made.key)


@openssl_only
def test_a_damaged_pkcs12(made: Made) -> None:
    made.run(
        *("openssl", "pkcs12", "-export", "-in", "chain.pem", "-inkey", "key.pem"),
        *("-passout", f"pass:{PASSWORD}", "-out", "whole.p12"),
    )
    whole = Path(made("whole.p12")).read_bytes()
    for at in range(1, len(whole), 61):
        path = made.write("cut.p12", whole[:at])
        refused(lambda path=path: stores.identity(store(path)))  # type: ignore[misc]


# the rest


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc.def.ghi\n")
    assert stores.text(KeySource("x", path=str(path))) == "abc.def.ghi"
    path.write_text("\n")
    assert refused(lambda: stores.text(KeySource("x", path=str(path)))) == f"x='{path}' is empty"


@given(der=st.binary(min_size=1, max_size=300))
@quick
def test_what_is_wrapped_is_found_again(der: bytes) -> None:
    (block,) = pem.blocks(f"before\n{pem.wrapped('CERTIFICATE', der)}after")
    assert block.is_certificate
    assert not block.is_key
    assert block.text == pem.wrapped("CERTIFICATE", der)
    assert base64.b64decode("".join(block.body.split())) == der


def test_neither_sources_nor_blocks_show_what_they_hold(made: Made) -> None:
    shown = [
        repr(KeySource("ssl.key.pem", text=made.key, password=PASSWORD, key_password=KEY_PASSWORD)),
        str(KeySource("ssl.key.pem", text=made.key)),
        *map(repr, pem.blocks(made.key)),
    ]
    line = made.key.splitlines()[1]
    assert not any(line in text or "hunter2" in text for text in shown)
