"""Topics of a station, and filters over them."""

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edge_runtime.contracts.station_id import StationId
from edge_runtime.mes.topics import Topics, matches

LEVEL = st.sampled_from(["a", "b", "inspection", ""])
FILTER_LEVEL = st.one_of(LEVEL, st.just("+"))


def test_a_station_speaks_under_its_site_and_line() -> None:
    topics = Topics(site="plant-1", station=StationId.parse("L07-S3"))
    assert topics.verdict == "inspection/plant-1/L07/S3/verdict"
    assert topics.availability == "inspection/plant-1/L07/S3/availability"
    assert topics.health == "inspection/plant-1/L07/S3/health"


@given(
    st.lists(LEVEL, min_size=1, max_size=4),
    st.lists(FILTER_LEVEL, min_size=1, max_size=4),
    st.booleans(),
)
def test_filters_match_as_paho_matches_them(
    topic: list[str], levels: list[str], and_below: bool
) -> None:
    topic_filter = "/".join([*levels, "#"] if and_below else levels)
    name = "/".join(topic)
    assert matches(topic_filter, name) == topic_matches_sub(topic_filter, name)
