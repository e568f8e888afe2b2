"""Names are compared as the API server's database compares them."""

import sqlite3
import uuid

import pytest
from harness.local_kfp import API

from jupyter_kfp_mt.local.database.collation import collation_key
from jupyter_kfp_mt.local.database.schema import MIGRATIONS, opened


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Train", "TRAIN"),
        ("Train", "Train  "),
        ("Train", "Träin"),
        ("\u00e9", "e\u0301"),
        ("ß", "ss"),
        ("A", "\uff21"),
        ("smørrebrød", "smorrebrod"),
        ("a\u200bb", "ab"),
        ("Œuvre", "oeuvre"),
    ],
)
def test_names_are_the_same_but_for_case_accents_width_and_spaces_at_the_end(one, other):
    assert collation_key(one) == collation_key(other)


@pytest.mark.parametrize(("one", "other"), [("a", " a"), ("a", "a\t"), ("a_b", "a-b"), ("и", "e")])
def test_other_names_are_not(one, other):
    assert collation_key(one) != collation_key(other)


def test_names_are_sorted_by_punctuation_digits_and_letters():
    names = [
        " a",
        "_a",
        "-a",
        ".a",
        "#a",
        "<a",
        "1a",
        "a",
        "a_b",
        "a-b",
        "a1",
        "ab",
        "Äc",
        "z",
        "я",
    ]
    assert sorted(names, key=collation_key) == names


def test_a_name_that_is_the_same_is_taken_and_found(local_kfp):
    word = uuid.uuid4().hex
    url = f"{API}/experiments"
    assert local_kfp.post(url, {"display_name": f"é {word}", "namespace": "alice"}).ok
    taken = local_kfp.post(url, {"display_name": f"E {word} ", "namespace": "alice"})
    assert taken.status_code == 409
    condition = f'{{"operation":"EQUALS","key":"name","string_value":"E {word}"}}'
    found = local_kfp.get(url, namespace="alice", filter=f'{{"predicates":[{condition}]}}').json()
    assert [each["display_name"] for each in found["experiments"]] == [f"é {word}"]


def test_a_backslash_makes_a_wildcard_a_character(local_kfp):
    word = uuid.uuid4().hex
    for name in (f"a_b {word}", f"axb {word}"):
        local_kfp.post(f"{API}/experiments", {"display_name": name, "namespace": "alice"})

    def found(text):
        condition = f'{{"operation":"IS_SUBSTRING","key":"name","string_value":"{text} {word}"}}'
        filter_ = f'{{"predicates":[{condition}]}}'
        answer = local_kfp.get(
            f"{API}/experiments", namespace="alice", filter=filter_, sort_by="name"
        )
        return [each["display_name"][:3] for each in answer.json()["experiments"]]

    assert found("a_b") == ["a_b", "axb"]
    assert found(r"a\\_b") == ["a_b"]


def test_a_database_with_names_that_are_the_same_by_now_is_still_opened(tmp_path):
    path = tmp_path / "kfp.db"
    old = sqlite3.connect(path)
    before = next(n for n, statements in enumerate(MIGRATIONS) if "collation_key" in statements)
    for number, statements in enumerate(MIGRATIONS[:before], start=1):
        old.executescript(f"BEGIN; {statements}; PRAGMA user_version = {number}; COMMIT;")
    for name in ("Train", "Träin"):
        old.execute(
            "INSERT INTO experiments (experiment_id, namespace, display_name, description,"
            " created_at) VALUES (?, 'alice', ?, '', 0)",
            (name, name),
        )
    old.commit()
    old.close()
    db = opened(path)
    assert db.execute("SELECT count(*) FROM experiments").fetchone()[0] == 2
    db.close()


def test_a_name_that_a_cluster_would_not_take_is_taken_with_a_warning(local_kfp):
    word = uuid.uuid4().hex

    def warning(name):
        answer = local_kfp.post(f"{API}/experiments", {"display_name": name, "namespace": "alice"})
        assert answer.ok
        return answer.headers.get("Warning", "")

    assert "its database takes no characters outside" in warning(f"\U0001f680 {word}")
    assert warning(f"\\ud83d \u65e5 {word}") == ""
