"""The line after `%kfp`: comments in it, and what is not understood."""

import pytest

from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.notebook.line import words as words_of
from jupyter_kfp_mt.notebook.parser import parse


@pytest.mark.parametrize(
    "line, words",
    [
        pytest.param("runs  # of today", ["runs"], id="a comment"),
        pytest.param("runs # it's \"odd", ["runs"], id="with quotes in it"),
        pytest.param("runs;  # silently", ["runs"], id="after a semicolon"),
        pytest.param("# all of it", [], id="nothing else"),
        pytest.param("runs\t#tab", ["runs"], id="after a tab"),
        pytest.param("run p#1 -p a=#b", ["run", "p#1", "-p", "a=#b"], id="in a word"),
        pytest.param("run 'a # b' -p \"c= # d\"", ["run", "a # b", "-p", "c= # d"], id="quoted"),
        pytest.param("run a\\ #b", ["run", "a #b"], id="after an escaped blank"),
        pytest.param('run "a\\" # b" # c', ["run", 'a" # b'], id="an escaped quote"),
        pytest.param("run \\#1", ["run", "#1"], id="escaped"),
    ],
)
def test_a_comment_is_one_where_a_shell_has_one(line, words):
    assert words_of(line, {}, print) == words


@pytest.mark.parametrize(
    "line, sentence",
    [
        pytest.param("rum p", "Did you mean %kfp run?", id="rum"),
        pytest.param("rnus", "Did you mean %kfp runs?", id="rnus"),
        pytest.param("rusn", "Did you mean %kfp runs?", id="letters that changed places"),
        pytest.param("lgos", "Did you mean %kfp logs?", id="others that did"),
        pytest.param("list", "%kfp runs, pipelines", id="list"),
        pytest.param("stop x", "%kfp terminate RUN", id="stop"),
        pytest.param("Cancel x", "%kfp terminate RUN", id="cancel"),
        pytest.param("status", "%kfp alone", id="status"),
        pytest.param("remove x", "%kfp delete RUN", id="remove"),
        pytest.param("submit x", "%kfp run", id="submit"),
        pytest.param("zzzz", "%kfp help lists the verbs", id="no word"),
        pytest.param("run p x=1", "write -p x=1 instead of x=1 alone", id="a value"),
        pytest.param("run p name=x", "write --name x instead of name=x", id="an option"),
        pytest.param("runs limit=3", "write --limit 3", id="a limit"),
        pytest.param("runs --dry-run", "there is no option --dry-run; it has -e", id="dry run"),
        pytest.param(
            "run p --waits", "there is no option --waits; did you mean --wait?", id="near"
        ),
        pytest.param(
            "run p --nmae x", "no option --nmae; did you mean --name?", id="a value after"
        ),
        pytest.param(
            "run p --nmae=x", "no option --nmae; did you mean --name?", id="a value in it"
        ),
        pytest.param("runs --state failde", "Did you mean failed?", id="a state"),
        pytest.param(
            "runs --state foo", "Possible values: pending, running, succeeded", id="no state"
        ),
        pytest.param(
            "delete --state fialed --yes", "Possible values: failed, ", id="the nearest first"
        ),
        pytest.param("logs --tail x", "--tail takes a whole number, not 'x'.", id="no number"),
        pytest.param("runs --mine=x", "--mine takes no value: not 'x'.", id="a value too many"),
        pytest.param("runs --state", "--state needs a value.", id="no value"),
        pytest.param("recurring create", "is missing.", id="nothing"),
        pytest.param(
            "upload a b", "cannot interpret b. It is one value too many", id="one too many"
        ),
    ],
)
def test_what_is_not_understood_is_told_with_what_may_be_meant(line, sentence):
    with pytest.raises(KfpError) as error:
        parse(words_of(line, {}, print))
    assert sentence in str(error.value)


def test_a_verb_with_a_comment_works(shell, as_alice):
    assert shell.run_cell("%kfp runs -l 1  # of today").result is not None
