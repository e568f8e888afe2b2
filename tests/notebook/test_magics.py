"""`%kfp` in a real IPython, against a real local KFP."""

import _thread
import json
import threading

import pytest
from harness.waiting import wait_until

import jupyter_kfp_mt
from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.models import Page, Run
from jupyter_kfp_mt.notebook import render

pytestmark = pytest.mark.usefixtures("as_alice")


def shown(shell, value):
    """Return a value as a cell shows it: as text, and as HTML."""
    formats, _ = shell.display_formatter.format(value)
    return formats["text/plain"], formats["text/html"]


def test_alone_it_says_who_where_why_and_what_works(shell, kfp, local_kfp):
    text, html = shown(shell, kfp())
    for view in (text, html):
        assert local_kfp.endpoint in view
        assert "system:serviceaccount:alice:default-editor" in view
        assert "list runs" in view and "✓ yes" in view
        assert "KFP_MT_NAMESPACE" in view
    assert local_kfp.token("alice/default-editor") not in text + html


def test_a_pipeline_is_uploaded_run_watched_listed_and_read(shell, kfp, adder, capsys):
    assert kfp(f"upload {adder} --name magic").display_name.startswith("magic")
    run = kfp("run magic -p x=5 -e magics --wait")
    assert run.state == "SUCCEEDED"
    assert "add: Succeeded" in capsys.readouterr().out
    assert [found.run_id for found in kfp("runs -e magics --state succeeded")] == [run.run_id]
    with pytest.raises(KfpError, match="has finished already: Succeeded"):
        kfp(f"terminate {run.run_id}")
    assert "adding 5 and 2" in str(kfp(f"logs {run.run_id[:13]} add"))
    shell.execution_count += 1  # the cell that watched it shows it already
    assert "✓ Succeeded" in shown(shell, run)[0]
    assert "magic" in [pipeline.name for pipeline in kfp("pipelines")]
    assert "magics" in [experiment.display_name for experiment in kfp("experiments")]


def test_a_long_log_is_cut_and_says_so(kfp, failing, tmp_path):
    loud = tmp_path / "loud.yaml"
    loud.write_text(failing.read_text().replace("range(60)", "range(3000)"))
    run = kfp(f"run {loud}")
    wait_until(lambda: kfp("runs -l 1")[0].finished)
    lines = str(kfp(f"logs {run.run_id}")).splitlines()
    assert len(lines) == 1002 and "--tail LINES shows more" in lines[1]
    assert len(str(kfp(f"logs {run.run_id} --tail 2000")).splitlines()) == 2000
    with pytest.raises(KfpError, match="--tail takes a number from 1"):
        kfp(f"logs {run.run_id} --tail 0")


def test_a_log_is_what_the_task_wrote_and_raw_what_the_executor_wrote_too(kfp, adder):
    run = kfp(f"run {adder} -p x=5 --wait")
    left_out, *own = str(kfp(f"logs {run.run_id} add")).splitlines()
    raw = str(kfp(f"logs {run.run_id} add --raw")).splitlines()
    assert own == ["adding 5 and 2"]
    assert own[0] in raw and any("Got executor_input" in line for line in raw)
    assert left_out == f"[{len(raw) - 1} lines of kfp's executor are left out: --raw shows them]"
    assert str(kfp(f"logs {run.run_id} add --tail 1")) == own[0]


def test_of_a_line_without_end_the_beginning_is_shown(kfp, adder, tmp_path):
    endless = tmp_path / "endless.yaml"
    endless.write_text(adder.read_text().replace('\\"adding\\"', '\\"adding\\" * 5000'))
    run = kfp(f"run {endless} -p x=5 --wait")
    whole = "adding" * 5000 + " 5 and 2"
    cut = f"{whole[:20000]} [{len(whole) - 20000:,} more characters: --raw shows them]"
    assert str(kfp(f"logs {run.run_id} add")).splitlines()[-1] == cut
    assert whole in str(kfp(f"logs {run.run_id} add --raw")).splitlines()


def test_a_failure_names_the_task_and_shows_its_last_lines(kfp, failing):
    with pytest.raises(KfpError) as error:
        kfp(f"run {failing} --wait")
    assert "ValueError: no more" in str(error.value)
    assert "The last lines of task fail:" in str(error.value)


def test_the_log_of_a_skipped_task_is_a_sentence(kfp, skipping):
    run = kfp(f"run {skipping}")
    wait_until(lambda: kfp("runs -l 1")[0].finished)
    with pytest.raises(KfpError, match="Task skipped was skipped, so it has no log."):
        kfp(f"logs {run.run_id} skipped")


def test_logs_without_a_task_are_those_of_the_failed_one(kfp, failing):
    run = kfp(f"run {failing}")
    wait_until(lambda: kfp("runs")[0].finished)
    log = kfp(f"logs {run.run_id} --tail 3")
    assert [task.display_name for task, _ in log.tasks] == ["fail"]
    assert len(str(log).splitlines()) == 3


def test_interrupting_the_cell_leaves_the_run_running_and_says_so(kfp, sleeper, local_kfp, capsys):
    def interrupt():
        running = "/apis/v2beta1/runs?namespace=alice&sort_by=created_at%20desc&page_size=1"
        wait_until(lambda: local_kfp.get(running).json()["runs"][0].get("state") == "RUNNING")
        _thread.interrupt_main()

    interrupter = threading.Thread(target=interrupt)
    # The newest run must be this one before it is looked for.
    run = kfp(f"run {sleeper}")
    wait_until(lambda: kfp("runs")[0].state == "RUNNING")
    assert kfp(f"terminate {run.run_id}").state in ("CANCELING", "FAILED")
    interrupter.start()
    waited = kfp(f"run {sleeper} --wait")
    interrupter.join()
    assert "The run continues." in capsys.readouterr().out
    assert kfp("runs --state RUNNING")[0].run_id == waited.run_id
    kfp(f"terminate {waited.run_id}")


def test_a_task_is_followed_and_interrupting_that_leaves_its_run_alone(
    kfp, talker, tmp_path, capsys, local_kfp
):
    run = kfp(f"run {talker} -p file={tmp_path / 'go'}")
    path = f"/apis/v2beta1/runs/{run.run_id}"
    wait_until(lambda: local_kfp.get(path).json().get("run_details"))
    said = ""

    def interrupt():
        def says():
            nonlocal said
            said += capsys.readouterr().out
            return "first" in said

        wait_until(says)
        _thread.interrupt_main()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    assert kfp(f"logs {run.run_id} talk --follow").run_id == run.run_id
    interrupter.join()
    assert "The run continues." in said + capsys.readouterr().out
    (tmp_path / "go").touch()
    assert kfp(f"logs {run.run_id} --follow").run_id == run.run_id
    assert "second" in capsys.readouterr().out


def test_ns_shows_and_changes_the_namespace_of_the_session(shell, kfp):
    assert (kfp("ns").namespace, kfp("ns").reason) == ("alice", "KFP_MT_NAMESPACE")
    with pytest.raises(KfpError, match="may not list runs in namespace bob. Still in alice"):
        kfp("ns bob")
    assert kfp("ns").namespace == "alice"
    kfp("connect --as bob/default-editor")
    assert kfp("ns alice").namespace == "alice"  # bob may look at alice's
    assert kfp("ns").reason == "%kfp ns"
    assert [step.looked_at for step in kfp().status.trace if step.step == "namespace"] == [
        "%kfp ns"
    ]
    assert kfp("runs").namespace == "alice"


def test_connect_as_another_tenant_and_back(kfp, adder):
    assert kfp("connect --as bob/default-viewer").status.identity.subject == (
        "system:serviceaccount:bob:default-viewer"
    )
    with pytest.raises(
        KfpError, match="Cannot start adder in bob.*may not (start a run|create runs)"
    ) as error:
        kfp(f"run {adder} -p x=1")
    assert '"system:serviceaccount:bob:default-viewer": edit' in str(error.value)
    assert kfp("connect").status.identity.subject.startswith("system:serviceaccount:alice")


@pytest.mark.parametrize(
    "line, sentence",
    [
        pytest.param("rnus", "no verb rnus. Did you mean %kfp runs?", id="misspelt verb"),
        pytest.param("runs --stat", "did you mean --state?", id="near an option"),
        pytest.param("runs --state DONE", "--state takes no done", id="unknown state"),
        pytest.param("runs -l 0", "Cannot list 0", id="too few"),
        pytest.param("runs -l many", "--limit takes a whole number, not 'many'", id="not a number"),
        pytest.param("runs -e nope", "No experiment nope", id="unknown experiment"),
        pytest.param("runs 'x", "no closing quotation", id="open quotation"),
        pytest.param("run", "PIPELINE-OR-FILE is missing", id="nothing to run"),
        pytest.param("run nope", "No pipeline nope in namespace alice", id="unknown pipeline"),
        pytest.param("run nope.yaml", "Cannot read nope.yaml", id="unknown file"),
        pytest.param("run ADDER -p", "--parameter needs a value", id="no parameter"),
        pytest.param("run ADDER -p x", "-p x is not of the form name=value", id="no value given"),
        pytest.param("run ADDER -p y=1", "no parameter y", id="unknown parameter"),
        pytest.param("run ADDER -p x=a", "x takes a whole number, not 'a'", id="wrong type"),
        pytest.param("run ADDER -p x=1 -p x=2", "x is given twice", id="twice"),
        pytest.param("run ADDER", "needs a value for x", id="missing parameter"),
        pytest.param("upload nope.yaml", "Cannot read nope.yaml", id="no file to upload"),
        pytest.param("logs nope", "No run 'nope' in namespace alice", id="unknown run"),
        pytest.param("terminate nope", "No run 'nope' in namespace alice", id="nothing to stop"),
        pytest.param("ns Not_A_Namespace", "is not the name of a namespace", id="no namespace"),
        pytest.param("runs -n %00", "'%00' is not the name of a namespace", id="no name at all"),
        pytest.param("ns nobodys", "may not list runs in namespace nobodys", id="not ours"),
        pytest.param("terminate ''", "No run '' in namespace alice", id="an empty id"),
        pytest.param("runs extra", "%kfp runs has no action extra;", id="too much"),
        pytest.param("help bogus", "no verb bogus. %kfp help lists", id="help of nothing"),
        pytest.param("logs x --tail 0", "--tail takes a number from 1", id="tail of nothing"),
        pytest.param("connect --as carol/x", "has no identity carol/x", id="unknown identity"),
        pytest.param("connect --endpoint x", "'x' is not an address of KFP", id="no address"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(kfp, adder, line, sentence):
    with pytest.raises(KfpError) as error:
        kfp(line.replace("ADDER", str(adder)))
    assert sentence in str(error.value)


def test_help_lists_the_verbs_and_explains_one(kfp, capsys):
    assert kfp("help") is None
    assert "terminate" in capsys.readouterr().out
    assert kfp("help help") is None
    assert "terminate" in capsys.readouterr().out
    assert kfp("help run") is None
    assert "--experiment" in capsys.readouterr().out


@pytest.mark.parametrize(
    "setting, sentence",
    [
        pytest.param("token_file = '/nope'", "/nope cannot be read", id="no token"),
        pytest.param("endpoint = 'http://127.0.0.1:1'", "connection refused", id="nobody there"),
    ],
)
def test_a_connection_that_does_not_work_is_shown_with_the_reason(shell, kfp, setting, sentence):
    shell.run_line_magic("config", f"KfpMagics.{setting}")
    text, html = shown(shell, kfp())
    assert sentence in text and sentence in html


def test_a_connection_that_cannot_be_made_leaves_the_one_there_is(kfp):
    with pytest.raises(KfpError):
        kfp("connect --endpoint ftp://x")
    assert kfp("runs").namespace == "alice"


def test_connect_in_python_is_the_client_of_the_magic(kfp):
    kfp("connect --as bob/default-editor")
    assert jupyter_kfp_mt.connect().namespace == "bob"
    assert jupyter_kfp_mt.connect(namespace="alice").namespace == "alice"


def test_config_counts_from_the_next_verb_on(shell, kfp):
    assert kfp("ns").namespace == "alice"
    shell.run_line_magic("config", "KfpMagics.namespace = 'bob'")
    assert kfp("ns").namespace == "bob"


def test_the_ids_of_a_list_tell_its_runs_apart(shell, kfp, adder):
    runs = [kfp(f"run {adder} -p x=1") for _ in range(3)]
    text, _ = shown(shell, kfp("runs -l 3"))
    ids = [line.split()[-1] for line in text.splitlines()[1:4]]
    assert [kfp(f"logs {id}").run.run_id for id in ids] == [run.run_id for run in runs[::-1]]


def test_loading_it_again_is_harmless(shell, kfp):
    shell.run_line_magic("reload_ext", "jupyter_kfp_mt")
    assert kfp("ns").namespace == "alice"


def test_what_people_typed_is_escaped_in_html():
    run = Run(display_name="<script>alert(1)</script>", state="RUNNING")
    assert "<script>" not in render.html(run)
    assert "&lt;script&gt;" in render.html(run)


def test_nothing_that_people_typed_reaches_the_terminal_or_turns_the_line():
    run = Run(display_name="\x1b[31mred\x1b[0m\x00 \u202egnp\r" + "x" * 10_000)
    page = Page(kind=Run, items=[run], total_size=1, next_page_token="")
    for view in (render.text(page), render.html(page)):
        assert "red\ufffd \ufffdgnp" in view and "x…" in view
        assert not set("\x1b\x00\r\u202e") & set(view) and len(view) < 3000


def test_an_empty_list_says_so(shell, kfp):
    text, html = shown(shell, kfp("runs --state PAUSED"))
    first, second = text.splitlines()
    assert first == "No runs found in namespace alice that fit state Paused."
    assert second.startswith("Without these filters there are ") and first in html


def test_a_list_becomes_dicts(kfp):
    page = kfp("runs -l 1")
    row = page.to_dicts()[0]
    assert row["display_name"] == page[0].display_name
    json.dumps(row, default=str)
    assert isinstance(row["state_history"][0], dict)
