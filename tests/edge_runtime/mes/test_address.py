"""Addresses as users write them; passwords as they must not."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import (
    MemoryAddress,
    MqttAddress,
    parse_address,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://mes.local", MqttAddress(host="mes.local", port=1883)),
        ("mqtt://mes.local/", MqttAddress(host="mes.local", port=1883)),
        ("mqtt://10.0.0.7:18830", MqttAddress(host="10.0.0.7", port=18830)),
        ("mqtt://[::1]:1883", MqttAddress(host="::1", port=1883)),
        ("mqtt://station@mes:1", MqttAddress(host="mes", port=1, user="station")),
        ("mqtt://a%40b@mes", MqttAddress(host="mes", port=1883, user="a@b")),
        ("mqtts://mes", MqttAddress(host="mes", port=8883, tls=True)),
        ("mqtts://s3@mes:1883", MqttAddress(host="mes", port=1883, user="s3", tls=True)),
        ("memory://demo", MemoryAddress(name="demo")),
    ],
)
def test_an_address_is_read(text: str, expected: MqttAddress | MemoryAddress) -> None:
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mes.local",
        "localhost:1883",
        "http://mes.local",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://mes:0",
        "mqtt://mes:65536",
        "mqtt://mes:port",
        "mqtt://mes:-1",
        "mqtt://@mes",
        "mqtt://mes/site",
        "mqtt://mes?qos=1",
        "mqtt://mes#x",
        "mqtt://[::1",
        "mqtt://me s",
        "mqtt://a%00b@mes",
        "mqtt://a\udc80@mes",
        "memory://",
        "memory://a/b",
        "memory://a b",
        "mqtts://",
        "mqtts://mes/site",
    ],
)
def test_a_malformed_address_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(BrokerError, match=r"expected mqtt://\[user@\]HOST\[:PORT\]") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://station:geheim@mes:1883",
        "mqtt://:geheim@mes",
        "mqtt://station:ge@heim@mes",
        "mqtt://station:geheim@mes:port",
        "station:geheim@mes",
        "mqtts://station:geheim@mes",
    ],
)
def test_a_password_in_the_address_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(BrokerError) as caught:
        parse_address(text)
    assert "heim" not in str(caught.value)


def test_the_refusal_of_a_password_names_where_it_belongs() -> None:
    with pytest.raises(
        BrokerError, match=r"EDGE_INSPECT_MQTT_PASSWORD or the systemd credential mqtt-password"
    ):
        parse_address("mqtt://station:geheim@mes:1883")


@given(st.text(st.characters()))
def test_any_text_is_an_address_or_a_broker_error(text: str) -> None:
    for candidate in (text, f"mqtt://{text}", f"memory://{text}"):
        with suppress(BrokerError):
            address = parse_address(candidate)
            assert parse_address(str(address)) == address
