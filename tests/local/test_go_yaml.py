"""Values in YAML, as gopkg.in/yaml.v3 3.0.1 and Go's JSON told them when asked."""

import msgspec
import pytest
import yaml

from jupyter_kfp_mt.local.pipelines.pipeline_files import read_pipeline_file
from jupyter_kfp_mt.local.wire.go_yaml import Loader

LONG = "9" * 400
TEXTS = [
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "1:30",
    "190:20:30",
    "2001-13-01",
    "1e400",
    "-1.5e400",
    LONG,
]
TEXTS += ["0x1FFFFFFFFFFFFFFFF", "=", "<<", "1.2.3", "0b2", "0x", "inf", "tRue", "1e", "20010101x"]
TEXTS += ["2001-12-14 21:59:43.10 -5", "2001-12-14T21:59:43"]
VALUES = {
    "08": 8,
    "017": 15,
    "0o17": 15,
    "0X1f": 31,
    "-0b11": -3,
    "1_000": 1000,
    "0.1e1_0": 1e9,
    "-.5": -0.5,
    "1e3": 1000,
    "1e-400": 0,
    "18446744073709551616": 2.0**64,
    "9223372036854775807": 9223372036854775807,
    "True": True,
    "FALSE": False,
    "~": None,
    "": None,
    "Null": None,
    "2001-1-1": "2001-01-01T00:00:00Z",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14T21:59:43.1-05:00",
    "2001-12-14 21:59:43.10": "2001-12-14T21:59:43.1Z",
    "2001-01-01T1:2:3+00:00": "2001-01-01T01:02:03Z",
    "'1'": "1",
    "!!str yes": "yes",
    "!!int '1'": 1,
    "!!float 1": 1,
    "!!timestamp '2001-01-01'": "2001-01-01T00:00:00Z",
    "!!binary aGk=": "hi",
    "!x 1": "1",
    "!x [1, {a: yes}]": [1, {"a": "yes"}],
    "!!set {a}": {"a": None},
    "!!omap [a: 1]": [{"a": 1}],
}


@pytest.mark.parametrize(("text", "value"), [*((text, text) for text in TEXTS), *VALUES.items()])
def test_a_value_is_what_it_is_on_a_cluster(text, value):
    found = yaml.load(f"a: {text}", Loader)
    assert msgspec.json.decode(msgspec.json.encode(found)) == {"a": value}
    assert yaml.load(f"a: {text}\nb: &x {{c: 1}}\nd: {{<<: *x}}", Loader)["d"] == {"c": 1}


@pytest.mark.parametrize(
    "text", ["!!int x", "!!bool yes", "!!float x", "!!timestamp 1", "!!binary a"]
)
def test_a_value_that_is_not_what_its_tag_says_is_refused(text):
    with pytest.raises(yaml.YAMLError, match="is no !!"):
        yaml.load(f"a: {text}", Loader)


REFUSED = [
    ("x: &a [*a]", "the anchor 'a' contains itself"),
    ("x: [&a 1, &a 2]", "an anchor is defined twice (line 1)"),
    ("x: {1: 2}", "the key 1 is no text, put it between quotes"),
    ("x: {true: 2}", "the key true is no text, put it between quotes"),
    ("x: {[1]: 2}", "a list or mapping is used as a key (line 1)"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_what_is_no_pipeline_in_go_either_is_refused_with_a_sentence(adder, line, message):
    with pytest.raises(Exception, match="The file is not YAML") as refused:
        read_pipeline_file("p.yaml", f"{line}\n{adder.read_text()}".encode())
    assert message in str(refused.value)
