"""The published AsyncAPI document is valid by the AsyncAPI initiative's own parser.

Needs node and the npm package `@asyncapi/parser` (Apache-2.0), see `tests.peers.node`.
"""

import json
import shutil
from pathlib import Path

from tests.peers.node import answer

DOCUMENT = Path(__file__).parents[2] / "docs" / "schemas" / "asyncapi.json"
READ = """
const { Parser } = require('@asyncapi/parser');
const [file] = process.argv.slice(1);
new Parser().parse(require('fs').readFileSync(file, 'utf8'), { source: file }).then(read =>
    console.log(JSON.stringify({
        errors: read.diagnostics.filter(found => found.severity === 0).map(found => found.message),
        addresses: read.document ? read.document.channels().all().map(each => each.address()) : [],
    })));"""


def test_the_document_has_no_error_and_all_channels() -> None:
    read = json.loads(answer("@asyncapi/parser", READ, str(DOCUMENT)))
    channels = json.loads(DOCUMENT.read_text(encoding="utf-8"))["channels"].values()
    assert read["errors"] == []
    assert set(read["addresses"]) == {channel["address"] for channel in channels}


def test_control_a_document_with_a_mistake_is_refused(tmp_path: Path) -> None:
    # Beside the schemas that it refers to, so that nothing but the mistake can be found.
    mistaken = shutil.copytree(DOCUMENT.parent, tmp_path / "schemas") / DOCUMENT.name
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    next(iter(document["channels"].values()))["address"] = 7
    mistaken.write_text(json.dumps(document), encoding="utf-8")
    (error,) = json.loads(answer("@asyncapi/parser", READ, str(mistaken)))["errors"]
    assert error == '"address" property type must be string,null'
