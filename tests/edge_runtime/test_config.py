import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import load_config
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import UsageError

NEEDED = {"station": "L07-S3", "source": "simulated:gen3"}


def test_flags_win_over_variables_which_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('station = "L01-S1"\nsource = "dir:/a"\nmax_batch = 2\nthreads = 3\n')
    environment = {
        "EDGE_INSPECT_MAX_BATCH": "4",
        "EDGE_INSPECT_SOURCE": "dir:/b",
        "HOME": "/home/x",
    }
    config = load_config({"source": "dir:/c", "threads": None}, environment, file)
    assert (config.station, config.source) == ("L01-S1", "dir:/c")
    assert (config.max_batch, config.threads) == (4, 3)


def test_several_sources_are_several_flags_an_array_or_lines(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('station = "L01-S1"\nsource = ["dir:/a", "dir:/b"]\n')
    both = ("dir:/a", "dir:/b")
    home = {"HOME": "/home/x"}
    assert load_config({}, home, file).sources == both
    assert load_config({"source": ["dir:/c"]}, home, file).sources == ("dir:/c",)
    lines = {"EDGE_INSPECT_SOURCE": "dir:/a\ndir:/b", **home}
    assert load_config({"station": "L01-S1"}, lines, None).sources == both
    alone = [load_config({"station": "L01-S1", "source": s}, home, None) for s in ("x", ["x"])]
    assert alone[0].sha256() == alone[1].sha256()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"source": []}, "expected one source at least"),
        ({"trigger": "camera", "source": ["gige:1", "gige:2"]}, "goes by one source, 2 are given"),
        ({"part_frames": 2}, "part_frames = 2 with trigger = free"),
        ({"part_name": "(.+)_left"}, "expected a group"),
        ({"part_name": "("}, "expected a regular expression"),
        ({"trigger": "mqqt"}, "trigger"),
    ],
)
def test_triggers_that_cannot_be_are_refused_in_one_line(
    keys: dict[str, object], words: str
) -> None:
    given = {"station": "L01-S1", "source": "dir:/a", **keys}
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        load_config(given, {"HOME": "/home/x"}, None)
    assert "\n" not in str(caught.value)


def test_a_table_in_the_file_stands_for_the_words_before_an_underscore(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(
        'station = "L01-S1"\nsource = "dir:/a"\njournal_days = 90\n'
        '[mqtt]\nca = "/etc/ca.pem"\nreplay = true\n[mqtt.sparkplug]\ngroup = "plant-2"\n'
    )
    config = load_config({"mqtt_ca": "/home/ca.pem"}, {"EDGE_INSPECT_MQTT_REPLAY": "false"}, file)
    assert (config.mqtt_sparkplug_group, config.journal_days) == ("plant-2", 90)
    assert (config.mqtt_ca, config.mqtt_replay) == (Path("/home/ca.pem"), False)


def test_what_is_wrong_within_a_table_is_named_as_it_was_spelt(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(
        'station = "L01-S1"\nsource = "dir:/a"\nmqtt_ca = "/a"\n'
        '[mqtt]\nca = "/b"\ncertifcate = "/c"\nbacklog_rate = 0\npassword = "geheim"\n'
    )
    with pytest.raises(UsageError) as caught:
        load_config({}, {}, file)
    message = str(caught.value)
    assert f"{file}: mqtt_ca is given twice, as mqtt_ca and as mqtt.ca" in message
    assert f"{file}: mqtt.certifcate: no such key; did you mean mqtt_certificate?" in message
    assert f"{file}: mqtt.backlog_rate: Input should be greater than or equal to 1" in message
    assert f"{file}: mqtt.password: a password does not belong here" in message
    assert "geheim" not in message


def test_a_key_written_where_its_path_belongs_is_refused_and_not_repeated() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEgeheim\n-----END PRIVATE KEY-----\n"
    with pytest.raises(UsageError, match="--mqtt-key: expected the path of a PEM file") as caught:
        load_config({**NEEDED, "mqtt_key": key}, {}, None)
    assert "geheim" not in str(caught.value)


def test_the_hash_does_not_follow_the_password() -> None:
    hashes = {
        load_config(NEEDED, {"EDGE_INSPECT_MQTT_PASSWORD": password}, None).sha256()
        for password in ("one", "other")
    }
    assert hashes == {load_config(NEEDED, {}, None).sha256()}


@pytest.mark.parametrize("text", ["", "x" * 256, "two\nlines", "\x1b[31m"])
def test_an_id_of_the_mes_is_one_printable_line(text: str) -> None:
    longest = load_config({**NEEDED, "product_id": "ü" * 255}, {}, None)
    assert longest.product_id == "ü" * 255
    for key in ("product_id", "external_recipe_id"):
        with pytest.raises(UsageError, match=f"--{key.replace('_', '-')}: .*characters?") as caught:
            load_config({**NEEDED, key: text}, {}, None)
        assert text == "" or text not in str(caught.value).replace("x" * 256, "")


def test_state_lies_where_systemd_or_the_user_keeps_it() -> None:
    assert load_config(NEEDED, {"HOME": "/home/x"}, None).state_dir == Path(
        "/home/x/.local/state/edge-inspect/L07-S3"
    )
    assert load_config(NEEDED, {"STATE_DIRECTORY": "/var/lib/e:/other"}, None).state_dir == Path(
        "/var/lib/e"
    )
    environment = {"STATE_DIRECTORY": "/var/lib/e", "EDGE_INSPECT_STATE_DIR": "/data"}
    assert load_config(NEEDED, environment, None).state_dir == Path("/data")


def test_all_problems_are_reported_at_once_each_with_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('station = "L7"\nmax_bach = 2\n')
    with pytest.raises(UsageError) as caught:
        load_config({"threads": "many"}, {"EDGE_INSPECT_MAX_BATCH": "0"}, file)
    message = str(caught.value)
    assert "expected Lnn-Sn, for example L07-S3" in message
    assert f"{file}: max_bach: no such key; did you mean max_batch?" in message
    assert "EDGE_INSPECT_MAX_BATCH: Input should be greater than or equal to 1, got '0'" in message
    assert "--threads:" in message
    assert "--source: is required" in message
    assert "\n" not in message


def test_an_unknown_variable_is_refused_but_the_password_is_none_of_the_keys() -> None:
    load_config(NEEDED, {"EDGE_INSPECT_MQTT_PASSWORD": "secret"}, None)
    with pytest.raises(UsageError, match="EDGE_INSPECT_STATON: no such key; did you mean station"):
        load_config(NEEDED, {"EDGE_INSPECT_STATON": "L01-S1"}, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"station = ", "not valid TOML"), (b"\xff\xfe", "not valid TOML")],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "station.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        load_config(NEEDED, {}, file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no configuration file at"):
        load_config(NEEDED, {}, tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_config(NEEDED, {}, tmp_path)


def test_the_hash_follows_the_configuration() -> None:
    one, same = load_config(NEEDED, {}, None), load_config(NEEDED, {}, None)
    other = load_config({**NEEDED, "max_batch": 3}, {}, None)
    assert one.sha256() == same.sha256() != other.sha256()


@given(line=st.integers(0, 99), station=st.integers(0, 99))
def test_a_station_id_survives_the_round_trip(line: int, station: int) -> None:
    text = f"L{line:02}-S{station}"
    assert str(StationId.parse(text)) == text


@given(st.text())
def test_whatever_else_is_refused_with_the_expected_form(text: str) -> None:
    import re

    if not re.fullmatch(r"L\d\d-S\d\d?", text, re.ASCII):
        with pytest.raises(ValueError, match="expected Lnn-Sn, for example L07-S3"):
            StationId.parse(text)
