"""Libraries whose licence changed between versions: what is installed must be the free one."""

from importlib.metadata import metadata

import pytest


@pytest.mark.parametrize(("library", "licence"), [("cleanlab", "Apache")])
def test_the_installed_version_is_under_a_licence_for_production(
    library: str, licence: str
) -> None:
    said = metadata(library)
    words = [said.get("License-Expression", ""), said.get("License", "")]
    words += said.get_all("Classifier", [])
    assert any(licence in word for word in words)
    assert not any("Affero" in word or "AGPL" in word for word in words)
