"""`jupyter kfp-mt settings`: every setting, or those that have to do with a word."""

import re

import pytest

from jupyter_kfp_mt.cli import main
from jupyter_kfp_mt.settings import Kfp, variable

SETTINGS = list(Kfp.class_own_traits(config=True))


def named(told):
    return re.findall(r"^c\.Kfp\.(\w+)", told, re.MULTILINE)


def test_each_setting_is_told_with_its_variable_and_what_it_is(capsys):
    assert main(["settings"]) == 0
    told = capsys.readouterr().out
    assert named(told) == SETTINGS
    for name in SETTINGS:
        assert variable(name) in told
    said = " ".join(told.split())
    for trait in Kfp.class_own_traits(config=True).values():
        assert " ".join(trait.help.split()) in said


def test_a_word_finds_the_settings_that_have_to_do_with_it(capsys):
    assert main(["settings", "Cookie"]) == 0
    told = capsys.readouterr().out
    assert {"cookie_file", "cookie_name"} <= {*named(told)} < {*SETTINGS}
    assert "KFP_MT_COOKIE." in told


@pytest.mark.parametrize("word", ["KFP_MT_TOKEN_FILE", "c.Kfp.token_file", "token_file"])
def test_a_setting_is_found_by_each_of_its_names(word, capsys):
    assert main(["settings", word]) == 0
    assert named(capsys.readouterr().out) == ["token_file"]


def test_lines_fit_into_a_terminal(capsys):
    main(["settings"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_word_that_no_setting_has_is_told(capsys):
    assert main(["settings", "colour"]) == 2
    assert "No setting contains 'colour'" in capsys.readouterr().err
