"""TLS between our ends and a real mosquitto: what works, and the line that each mistake gets."""

import getpass
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from edge_runtime.errors import BrokerError
from edge_runtime.mes import mqtt as mqtt_module
from edge_runtime.mes.base import Publisher
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.certificates import Authority, Certificate
from tests.patience import eventually, listen_until

AVAILABILITY = "inspection/plant-1/L07/S3/availability"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The factory's CA."""
    return Authority(tmp_path, "factory")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """A CA that nobody in the factory trusts."""
    return Authority(tmp_path, "stranger")


@pytest.fixture
def encrypted(
    mosquitto: Callable[..., PrivateBroker], authority: Authority
) -> Callable[..., PrivateBroker]:
    """Starts a broker that speaks TLS: `encrypted(certificate, *lines)`."""

    def start(certificate: Certificate | None = None, *lines: str) -> PrivateBroker:
        own = certificate or authority.issue("broker")
        config = [
            f"user {getpass.getuser()}",
            f"cafile {authority.certificate}",
            f"certfile {own.certificate}",
            f"keyfile {own.key}",
            *lines,
        ]
        return mosquitto(extra_config="\n".join(config))

    return start


def over_tls(broker: PrivateBroker) -> str:
    return broker.address.replace("mqtt://", "mqtts://")


@contextmanager
def started(address: str, credentials: Credentials) -> Iterator[Publisher]:
    publisher = open_publisher(
        address, client_id="s3", availability_topic=AVAILABILITY, credentials=credentials
    )
    publisher.start(lambda _answer: None)
    try:
        yield publisher
    finally:
        publisher.stop(2.0)


def assert_both_ends_are_told(address: str, credentials: Credentials, words: str) -> None:
    """The publisher's problem and the subscriber's error are one line that says so."""
    with started(address, credentials) as publisher:
        assert eventually(lambda: words in (publisher.problem or "")), publisher.problem
        assert not publisher.connected
        assert publisher.connections == 0
        told = publisher.problem or ""
    with pytest.raises(BrokerError) as caught:
        open_subscriber(address, "inspection/#", credentials=credentials)
    assert words in str(caught.value)
    for line in (told, str(caught.value)):
        assert line.startswith(f"broker {address}")
        assert "\n" not in line


def test_both_ends_speak_over_tls(
    encrypted: Callable[..., PrivateBroker], authority: Authority
) -> None:
    broker = encrypted()
    credentials = Credentials(ca=authority.certificate)
    address = over_tls(broker)
    with (
        closing(open_subscriber(address, "inspection/#", credentials=credentials)) as mes,
        started(address, credentials) as publisher,
    ):
        assert eventually(lambda: publisher.connected), publisher.problem
        for seq in range(1, 201):
            assert publisher.publish(seq, "inspection/plant-1/L07/S3/verdict", b"x" * 2000)
        messages = listen_until(mes, lambda messages: len(messages) == 201)
    assert len(messages) == 201


def test_a_broker_that_no_trusted_ca_vouches_for_is_refused(
    encrypted: Callable[..., PrivateBroker], stranger: Authority
) -> None:
    address = over_tls(encrypted())
    words = "no trusted CA vouches for"
    assert_both_ends_are_told(address, Credentials(ca=stranger.certificate), words)
    assert_both_ends_are_told(address, Credentials(), words)


def test_a_broker_under_another_name_is_refused(
    encrypted: Callable[..., PrivateBroker], authority: Authority
) -> None:
    elsewhere = authority.issue("elsewhere", subject_names="DNS:elsewhere.example")
    assert_both_ends_are_told(
        over_tls(encrypted(elsewhere)),
        Credentials(ca=authority.certificate),
        "shows a certificate that is not for 127.0.0.1",
    )


def test_an_expired_certificate_is_refused(
    encrypted: Callable[..., PrivateBroker], authority: Authority
) -> None:
    assert_both_ends_are_told(
        over_tls(encrypted(authority.issue("old", days=-1))),
        Credentials(ca=authority.certificate),
        "shows a certificate that has expired",
    )


def test_a_broker_that_asks_for_a_certificate_knows_its_own_clients_by_it(
    encrypted: Callable[..., PrivateBroker],
    authority: Authority,
    stranger: Authority,
) -> None:
    address = over_tls(encrypted(None, "require_certificate true"))
    own, foreign = authority.issue("L07-S3"), stranger.issue("L07-S3")

    def with_certificate(certificate: Certificate) -> Credentials:
        return Credentials(
            ca=authority.certificate, certificate=certificate.certificate, key=certificate.key
        )

    with started(address, with_certificate(own)) as publisher:
        assert eventually(lambda: publisher.connected), publisher.problem
    assert_both_ends_are_told(address, Credentials(ca=authority.certificate), "client certificate")
    assert_both_ends_are_told(address, with_certificate(foreign), "certificate")


@contextmanager
def tls_peer(context: ssl.SSLContext, answer: bytes) -> Iterator[str]:
    """The address of a broker that answers CONNECT with these bytes, in one record, and no more."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            while True:
                try:
                    link = listener.accept()[0]
                except OSError:
                    return
                with suppress(OSError):
                    tls = sockets.enter_context(context.wrap_socket(link, server_side=True))
                    tls.recv(4096)
                    tls.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"mqtts://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def server_context(own: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    return context


def test_a_broker_below_tls_1_2_is_refused(authority: Authority) -> None:
    context = server_context(authority.issue("broker"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with tls_peer(context, b"") as address:
        assert_both_ends_are_told(
            address, Credentials(ca=authority.certificate), "speaks neither TLS 1.2 nor 1.3"
        )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_is_asked_for_and_not_given_is_named_in_either_version(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = server_context(authority.issue("broker"))
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with tls_peer(context, b"") as address:
        assert_both_ends_are_told(
            address, Credentials(ca=authority.certificate), "client certificate"
        )


def test_what_came_in_one_tls_record_is_read_at_once(authority: Authority) -> None:
    # `select` does not see what TLS has decrypted already: it would lie there until more comes.
    accepted, shutting_down = bytes.fromhex("2003000000"), bytes.fromhex("e0028b00")
    with (
        tls_peer(server_context(authority.issue("broker")), accepted + shutting_down) as address,
        started(address, Credentials(ca=authority.certificate)) as publisher,
    ):
        assert eventually(lambda: "disconnected this station" in (publisher.problem or ""), 8.0)


def test_a_plain_client_at_a_tls_port_is_told_to_try_tls(
    encrypted: Callable[..., PrivateBroker],
) -> None:
    assert_both_ends_are_told(encrypted().address, Credentials(), "(mqtts://)?")


def test_a_tls_client_at_a_plain_port_is_told_that_there_is_no_tls(
    broker: PrivateBroker, authority: Authority
) -> None:
    assert_both_ends_are_told(
        over_tls(broker), Credentials(ca=authority.certificate), "TLS on this port"
    )


@pytest.fixture
def own(authority: Authority) -> Certificate:
    return authority.issue("L07-S3")


def test_files_that_are_missing_or_wrong_are_named_and_heal_when_they_are_mended(
    encrypted: Callable[..., PrivateBroker],
    authority: Authority,
    own: Certificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_module, "_BACK_OFF_CAP_S", 0.2)
    address = over_tls(encrypted(None, "require_certificate true"))
    ca, certificate, key = (tmp_path / name for name in ("ca", "certificate", "key"))
    credentials = Credentials(ca=ca, certificate=certificate, key=key)
    with started(address, credentials) as publisher:

        def told(*words: str) -> bool:
            return eventually(lambda: all(word in (publisher.problem or "") for word in words))

        assert told(f"mqtt_ca {ca} cannot be read: No such file"), publisher.problem
        ca.write_text("nonsense\n")
        assert told(f"mqtt_ca {ca} holds no certificate"), publisher.problem
        ca.write_bytes(authority.certificate.read_bytes())
        assert told(f"mqtt_certificate {certificate} cannot be read"), publisher.problem
        certificate.write_bytes(own.certificate.read_bytes())
        key.write_text("nonsense\n")
        assert told("not both in PEM form"), publisher.problem
        key.write_bytes(authority.encrypt(own.key).read_bytes())
        assert told(f"mqtt_key {key} is encrypted"), publisher.problem
        key.write_bytes(authority.issue("other").key.read_bytes())
        assert told(f"mqtt_key {key} is not the key of mqtt_certificate"), publisher.problem
        key.write_bytes(own.key.read_bytes())
        assert eventually(lambda: publisher.connected), publisher.problem


def test_an_encrypted_key_is_named_and_nobody_is_asked_for_the_pass_phrase(
    encrypted: Callable[..., PrivateBroker], authority: Authority, own: Certificate
) -> None:
    assert_both_ends_are_told(
        over_tls(encrypted()),
        Credentials(
            ca=authority.certificate,
            certificate=own.certificate,
            key=authority.encrypt(own.key),
        ),
        "is encrypted; store it decrypted",
    )


@pytest.mark.parametrize(
    ("address", "credentials", "words"),
    [
        ("mqtt://mes", {"ca": Path("ca.pem")}, "not encrypted and takes no mqtt_ca"),
        ("mqtt://mes", {"key": Path("key")}, "takes no mqtt_key or the systemd credential"),
        ("memory://mes", {"ca": Path("ca.pem")}, "not encrypted and takes no mqtt_ca"),
        ("mqtts://mes", {"certificate": Path("c.pem")}, "c.pem needs its private key"),
        ("mqtts://mes", {"key": Path("k.pem")}, "k.pem needs its certificate"),
    ],
)
def test_credentials_that_do_not_go_with_the_address_are_refused_at_once(
    address: str, credentials: dict[str, Path], words: str
) -> None:
    given = Credentials(**credentials)
    with pytest.raises(BrokerError, match=words):
        open_publisher(address, client_id="s3", availability_topic="a", credentials=given)
    with pytest.raises(BrokerError, match=words):
        open_subscriber(address, "#", credentials=given)
