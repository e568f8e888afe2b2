"""A kind of credentials is declared in one file; settings, help and README go with it."""

import threading

import pytest
from harness.paths import ROOT

import jupyter_kfp_mt
from jupyter_kfp_mt.credentials import KINDS, Credentials, KeptCredentials, TokenFile
from jupyter_kfp_mt.settings import CREDENTIALS, Kfp


def test_each_kind_is_chosen_by_a_name_and_settings_of_its_own():
    asked_by = [name for one in KINDS.values() for name in one.kind.asked_by]
    assert len(set(asked_by)) == len(asked_by)
    assert [one for one in KINDS.values() if "chosen" not in vars(one)] == []
    assert [one for one in KINDS.values() if "kind" not in vars(one)] == []


def test_every_class_of_the_folder_that_says_its_kind_can_be_chosen():
    def kinds(one):
        yield from [one] if "kind" in vars(one) else []
        for below in one.__subclasses__():
            yield from kinds(below)

    assert {
        one for one in kinds(Credentials) if one.__module__.startswith("jupyter_kfp_mt")
    } == set(KINDS.values())


def test_the_settings_of_credentials_are_those_of_their_kinds():
    named = {name for one in KINDS.values() for name in one.kind.asked_by + one.kind.beside}
    assert {"auth", *named} == set(CREDENTIALS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_help_of_auth_names_each_kind(kind):
    assert kind in Kfp.auth.help


@pytest.mark.parametrize("name", [name for name in CREDENTIALS])
def test_the_readme_says_what_each_setting_is_for(name):
    table = (ROOT / "README.md").read_text().partition("## Credentials")[2].partition("\n## ")[0]
    assert f"`{name}" in table


def test_all_credentials_are_of_the_class_that_makes_them(tmp_path):
    (tmp_path / "token").write_text("a.b.c")
    made = jupyter_kfp_mt.Credentials(endpoint="http://kfp.test", token_file=tmp_path / "token")
    assert isinstance(made, TokenFile) and isinstance(made, jupyter_kfp_mt.Credentials)
    assert issubclass(TokenFile, jupyter_kfp_mt.Credentials)
    assert not isinstance("a token", jupyter_kfp_mt.Credentials)


def test_what_is_kept_is_made_once_and_let_go_of():
    kept = KeptCredentials()
    one = kept.one("place", Credentials)
    assert kept.one("place", Credentials) is one
    assert kept.one("another place", Credentials) is not one
    kept.clear()
    assert kept.one("place", Credentials) is not one


def test_what_takes_long_to_make_holds_up_nobody_else():
    kept, go_on = KeptCredentials(), threading.Event()

    def slow():
        go_on.wait(60)
        return Credentials()

    waiting = threading.Thread(target=kept.one, args=("slow", slow))
    waiting.start()
    kept.one("fast", Credentials)
    go_on.set()
    waiting.join(60)
    assert not waiting.is_alive()


def test_only_so_many_are_kept():
    kept = KeptCredentials()
    oldest = kept.one(0, Credentials)
    for number in range(1, KeptCredentials.MOST + 1):
        kept.one(number, Credentials)
    assert kept.one(0, Credentials) is not oldest
