"""Every verb of `%kfp`, in a real IPython against a real local KFP."""

from datetime import timedelta

import pytest
import yaml
from harness.waiting import wait_until
from IPython.core.interactiveshell import InteractiveShell

from jupyter_kfp_mt.errors import BadRequest, Conflict, KfpError, NotFound, RunFailed
from jupyter_kfp_mt.models import Run
from jupyter_kfp_mt.notebook import help

pytestmark = pytest.mark.usefixtures("as_alice")


def shown(shell, value):
    formats, _ = shell.display_formatter.format(value)
    return formats["text/plain"]


# --- experiments and pipelines -----------------------------------------------------------------


def test_an_experiment_is_made_shown_put_away_and_deleted(shell, kfp, unique):
    made = kfp(f"experiment create {unique} --description 'of a test'")
    with pytest.raises(Conflict):
        kfp(f"experiments create {unique}")
    assert kfp(f"experiment get {unique}") == made == kfp(f"exp get {made.experiment_id}")
    assert [each.experiment_id for each in kfp(f"experiments --name {unique}")] == [
        made.experiment_id
    ]
    assert "put" not in str(kfp(f"experiment archive {unique}"))
    assert [*kfp(f"experiments --name {unique}")] == []
    assert len(kfp(f"experiments --name {unique} --archived")) == 1
    kfp(f"experiment restore {unique}")
    assert "Nothing is done yet" in shown(shell, kfp(f"experiment delete {unique}"))
    assert len(kfp(f"experiment list --name {unique}")) == 1
    kfp(f"experiment delete {unique} --yes")
    with pytest.raises(NotFound, match=f"No experiment {unique}"):
        kfp(f"experiment get {unique}")


def test_a_pipeline_is_uploaded_once_has_versions_and_is_deleted(shell, kfp, adder, unique, capsys):
    first = kfp(f"pipeline upload {adder} --name {unique}")
    capsys.readouterr()
    assert kfp(f"upload {adder} --name {unique}") == first
    said = capsys.readouterr().out
    assert (
        f"Nothing was uploaded: adder.yaml is identical to the newest version of {unique}" in said
    )
    second = kfp(f"upload {adder} --name {unique} --again")
    versions = kfp(f"versions {unique}")
    assert [each.pipeline_version_id for each in versions] == [
        second.pipeline_version_id,
        first.pipeline_version_id,
    ]
    assert second.name in shown(shell, versions) and " " not in second.name
    assert kfp(f"pipeline get {unique}").pipeline_id == first.pipeline_id
    assert "its 2 versions" in shown(shell, kfp(f"pipeline delete {unique}"))
    kfp(f"pipeline delete {unique} --yes")
    with pytest.raises(NotFound):
        kfp(f"versions {unique}")


def test_shared_and_private_pipelines_are_told_apart(shell, kfp, adder, unique):
    kfp(f"upload {adder} --name {unique}-mine")
    kfp(f"upload {adder} --name {unique}-ours --shared")
    names = lambda line: {each.name for each in kfp(f"{line} --name {unique}")}  # noqa: E731
    assert names("pipelines") == {f"{unique}-mine", f"{unique}-ours"}
    assert names("pipelines --shared") == {f"{unique}-ours"}
    assert names("pipeline list --private") == {f"{unique}-mine"}
    assert "with everyone" in shown(shell, kfp(f"pipelines --name {unique}"))
    assert kfp(f"run {unique}-ours -p x=1").display_name.startswith(f"{unique}-ours")
    with pytest.raises(BadRequest, match="exclude each other"):
        kfp("pipelines --shared --private")


# --- starting runs -----------------------------------------------------------------------------


def test_a_pipeline_and_a_component_of_the_notebook_run_by_their_python_names(shell, kfp):
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def double(number: int) -> int:
        return 2 * number

    @dsl.pipeline
    def twice(number: int = 3):
        double(number=number)

    def plain(number):
        return number

    shell.push({"double": double, "twice": twice, "plain": plain})
    run = kfp("run twice --wait")
    assert run.state == "SUCCEEDED" and run.display_name.startswith("twice-")
    assert kfp("run double -p number=4 --wait").tasks[0].display_name == "double"
    with pytest.raises(BadRequest, match="no parameter numbr. Did you mean number"):
        kfp("run twice -p numbr=1")
    with pytest.raises(BadRequest, match="plain is a function of this notebook, not a pipeline"):
        kfp("run plain")


def test_parameters_come_from_the_line_a_dict_and_a_cell(shell, kfp, cell, adder, unique):
    of = lambda run: run.runtime_config.parameters  # noqa: E731
    shell.push({"best": {"x": 7, "label": 'it\'s "odd" # {1}'}, "title": "two words"})
    run = kfp(f"run {adder} --params $best -e {unique}")
    assert of(run) == {"x": 7, "label": 'it\'s "odd" # {1}'}
    assert of(kfp(f"run {adder} -p x=1 -p label={{title}} -e {unique}"))["label"] == "two words"
    run = cell(f"run {adder} -p x=2 --name {unique}", "# how\nlabel: of a cell\n")
    assert of(run) == {"x": 2, "label": "of a cell"} and run.display_name == unique
    with pytest.raises(BadRequest, match="Parameter x is given twice"):
        cell(f"run {adder} -p x=2", "x: 3")
    with pytest.raises(BadRequest, match="x takes a whole number, not 'three'"):
        cell(f"run {adder}", "x: three")
    with pytest.raises(BadRequest, match="not YAML.*line 2"):
        cell(f"run {adder}", "x: 1\n y: 3")
    with pytest.raises(KfpError, match="%%kfp runs takes no cell"):
        cell("runs", "x: 1")


def test_numbers_of_numpy_are_numbers_and_what_json_cannot_say_is_refused(shell, kfp, adder):
    numpy = pytest.importorskip("numpy")
    shell.push({"given": {"x": numpy.int64(3)}, "odd": {"x": object()}})
    assert kfp(f"run {adder} --params $given").runtime_config.parameters == {"x": 3}
    with pytest.raises(BadRequest, match="Parameter x cannot be sent: it is a object"):
        kfp(f"run {adder} --params $odd")


def test_braces_without_a_value_are_sent_with_a_warning(shell, kfp, adder, capsys):
    run = kfp(f"run {adder} -p x=1 -p label={{nobody}}")
    assert run.runtime_config.parameters["label"] == "{nobody}"
    assert "{nobody} is sent unchanged" in (said := capsys.readouterr().out)
    assert "{{nobody}} for literal braces" in said
    run = kfp(f"run {adder} -p x=1 -p label={{{{meant}}}}")
    assert run.runtime_config.parameters["label"] == "{meant}"
    assert capsys.readouterr().out == ""


def test_a_dry_run_checks_all_and_starts_nothing(shell, kfp, adder, unique):
    planned = kfp(f"run {adder} -p x=5 -e {unique} --dry-run --no-cache")
    assert planned.parameters == {"x": 5, "label": "sum"}
    text = shown(shell, planned)
    assert "nothing was started" in text and "default" in text and unique in text
    with pytest.raises(NotFound):
        kfp(f"experiment get {unique}")
    with pytest.raises(BadRequest, match="needs a value for x"):
        kfp(f"run {adder} --dry-run")


def test_the_default_of_a_whole_number_is_shown_as_one(shell, kfp, tmp_path):
    file = tmp_path / "counter.yaml"
    shell.run_cell(
        "from kfp import dsl\n"
        "@dsl.container_component\n"
        "def count(rows: int = 100, rate: float = 2.0):\n"
        "    return dsl.ContainerSpec(image='busybox', args=[rows, rate])\n"
        "from kfp import compiler\n"
        f"compiler.Compiler().compile(count, {str(file)!r})\n"
    ).raise_error()
    text = shown(shell, kfp(f"run {file} --dry-run"))
    assert " 100 " in text and "100.0" not in text and " 2.0 " in text


def test_a_version_is_chosen_by_its_name(kfp, adder, unique):
    first = kfp(f"upload {adder} --name {unique}")
    kfp(f"upload {adder} --name {unique} --again")
    run = kfp(f"run {unique} -p x=1 --version {first.pipeline_version_id}")
    assert run.pipeline_version_reference.pipeline_version_id == first.pipeline_version_id
    with pytest.raises(NotFound, match=f"Pipeline {unique} has no version nope"):
        kfp(f"run {unique} -p x=1 --version nope")


def test_a_run_that_fails_under_wait_is_raised_with_the_run_or_kept(kfp, failing, unique):
    with pytest.raises(RunFailed) as error:
        kfp(f"run {failing} --wait --name {unique}")
    assert error.value.run.display_name == unique and error.value.run.state == "FAILED"
    assert kfp("show").run_id == error.value.run.run_id
    kept = kfp(f"run {failing} --wait --keep")
    assert kept.state == "FAILED" and kfp("show").run_id == kept.run_id
    assert kfp(f"show {unique} --watch").state == "FAILED"
    with pytest.raises(RunFailed):
        kfp(f"show {unique} --wait")


# --- runs that there are -----------------------------------------------------------------------


def test_runs_are_found_by_filters_and_in_every_namespace(shell, kfp, adder, unique):
    ours = kfp(f"run {adder} -p x=1 --name {unique}-a -e {unique}")
    kfp("connect --as bob/default-editor")
    theirs = kfp(f"run {adder} -p x=1 --name {unique}-b")
    everywhere = kfp(f"runs -A --name {unique}")
    assert [run.run_id for run in everywhere] == [theirs.run_id, ours.run_id]
    assert [everywhere.namespace_of(run) for run in everywhere] == ["bob", "alice"]
    heading, *rows = shown(shell, everywhere).splitlines()
    assert heading.startswith("Namespace") and rows[0].startswith("bob")
    assert [run.run_id for run in kfp(f"runs -e {unique} -n alice")] == [ours.run_id]
    assert [run.run_id for run in kfp(f"runs -A -e {unique}")] == [ours.run_id]
    assert [*kfp(f"runs --name {unique} --state failed")] == []
    with pytest.raises(BadRequest, match="leave out one of them"):
        kfp("runs -A -n alice")
    kfp("connect")


def test_one_run_is_changed_at_once_and_several_with_yes(shell, kfp, sleeper, unique):
    runs = [kfp(f"run {sleeper} -e {unique} --name {unique}-{number}") for number in range(3)]
    assert isinstance(kfp(f"terminate {runs[0].run_id}"), Run)
    planned = kfp(f"terminate -e {unique}")
    assert {run.run_id for run in planned} == {run.run_id for run in runs[1:]}
    assert "This would terminate 2 runs. Nothing is done yet" in shown(shell, planned)
    done = kfp(f"terminate -e {unique} --yes")
    assert shown(shell, done) == "Terminated 2 runs."
    wait_until(lambda: all(run.finished for run in kfp(f"runs -e {unique}")))
    assert "Terminated" in shown(shell, kfp(f"runs -e {unique}"))
    assert "no run that this would terminate" in shown(shell, kfp(f"terminate -e {unique}"))
    with pytest.raises(BadRequest, match="Which runs"):
        kfp("delete")
    with pytest.raises(BadRequest, match="not both"):
        kfp(f"archive latest -e {unique}")


def test_runs_are_archived_restored_cloned_retried_and_deleted(shell, kfp, failing, unique):
    run = kfp(f"run {failing} --name {unique} --wait --keep")
    assert kfp(f"archive {unique}").archived
    with pytest.raises(BadRequest, match="is archived already"):
        kfp(f"archive {run.run_id}")
    assert [each.run_id for each in kfp(f"runs --archived --name {unique}")] == [run.run_id]
    assert not kfp(f"restore {run.run_id}").archived
    with pytest.raises(BadRequest, match="is not archived"):
        kfp(f"restore {run.run_id}")
    kfp(f"retry {run.run_id}")
    wait_until(lambda: kfp(f"show {run.run_id}").finished)
    clone = kfp(f"clone {run.run_id}")
    assert clone.run_id != run.run_id and clone.display_name == f"Clone of {unique}"
    assert kfp("show").run_id == clone.run_id
    assert "This would delete 1 run" in shown(shell, kfp(f"delete {run.run_id}"))
    kfp(f"delete {run.run_id} {clone.run_id} --yes")
    assert [*kfp(f"runs --name {unique}")] == []


def test_a_run_is_cloned_with_other_parameters_than_it_had(shell, kfp, cell, adder, unique):
    run = kfp(f"run {adder} -p x=1 --name {unique} --wait")
    clone = kfp(f"clone {unique} -p x=2 --wait")
    assert clone.display_name == f"Clone of {unique}"
    assert clone.runtime_config.parameters == {"x": 2} and clone.state == "SUCCEEDED"
    again = kfp(f"clone {clone.run_id}")
    assert again.display_name == f"Clone (2) of {unique}"
    assert again.runtime_config.parameters == {"x": 2}
    called = cell(f"clone {run.run_id} --name {unique}-called", "x: 3")
    assert called.display_name == f"{unique}-called"
    assert called.runtime_config.parameters == {"x": 3}
    shell.user_ns["four"] = {"x": 4}
    both = kfp(f"clone {run.run_id} {again.run_id} --params $four --yes")
    assert shown(shell, both) == "Cloned 2 runs."
    assert "This would clone" in shown(shell, kfp(f"clone --name {unique}"))
    assert "no run that this would clone" in shown(shell, kfp(f"clone --name no{unique} --yes"))


def test_a_clone_is_refused_before_it_starts(kfp, adder, unique):
    kfp(f"run {adder} -p x=1 --name {unique}")
    with pytest.raises(BadRequest, match="has no parameter y"):
        kfp(f"clone {unique} -p y=2")
    with pytest.raises(BadRequest, match="Parameter x takes a whole number, not 'two'"):
        kfp(f"clone {unique} -p x=two")
    with pytest.raises(BadRequest, match="--wait cannot be used for several runs"):
        kfp(f"clone --name {unique} --wait")
    assert len(kfp(f"runs --name {unique}")) == 1


def test_words_of_the_kfp_command_line_work_too(kfp, adder, unique):
    run = kfp(f"run create {adder} -p x=1 --name {unique}")
    assert [each.run_id for each in kfp(f"runs list --name {unique}")] == [run.run_id]
    assert kfp(f"runs get {unique}").run_id == run.run_id
    wait_until(lambda: kfp(f"show {unique}").finished)
    assert kfp(f"run archive {unique}").archived


def test_runs_are_compared_and_their_artifacts_listed(shell, kfp, scored, unique):
    first, second = (
        kfp(f"run {scored} -p rate={rate} --name {unique}-{rate} --wait") for rate in (0.25, 0.5)
    )
    found = kfp(f"compare {first.run_id} {unique}-0.5")
    assert found[0].name == "rate" and found[0].values == [0.25, 0.5]
    text = shown(shell, found)
    assert "0.25" in text and "accuracy" in text and "last row is the same" in text
    artifacts = kfp(f"artifacts {unique}-0.5")
    assert [made.output for made in artifacts] == ["metrics"]
    assert "accuracy = 0.75" in shown(shell, artifacts)
    assert kfp("artifacts").run.run_id == second.run_id  # the last one here
    assert "see also: %kfp recurring create, " in help.text(["recurring"])
    with pytest.raises(BadRequest, match="at least two runs"):
        kfp("compare latest")


# --- recurring runs ----------------------------------------------------------------------------


def test_a_recurring_run_is_made_explained_and_switched(shell, kfp, adder, unique, capsys):
    line = f"recurring create {adder} -p x=1 --name {unique} --cron '0 30 9 * * 1-5'"
    made = kfp(f"{line} --disabled")
    said = capsys.readouterr().out
    assert "only while it is running" in said and "--no-cache" in said
    text = shown(shell, made)
    assert "At 09:30, Monday through Friday" in text and text.count(" 09:30:00 UTC") == 5
    assert not made.enabled and kfp(f"recurring enable {unique}").enabled
    assert not kfp(f"recurring-run disable {unique}").enabled
    listed = kfp(f"recurring --name {unique}")
    assert [each.recurring_run_id for each in listed] == [made.recurring_run_id]
    assert "Monday through Friday" in shown(shell, listed)
    assert "This would delete" in shown(shell, kfp(f"recurring delete {unique}"))
    kfp(f"recurring delete {unique} --yes")
    with pytest.raises(NotFound, match=f"No recurring run '{unique}'"):
        kfp(f"recurring get {unique}")


def test_an_interval_is_a_schedule_too(shell, kfp, adder, unique):
    made = kfp(f"recurring create {adder} -p x=1 --name {unique} --every 90min --disabled")
    assert made.trigger.periodic_schedule.interval_second == "5400"
    assert "Every 90 minutes" in shown(shell, made)
    kfp(f"recurring delete {unique} --yes")


@pytest.mark.parametrize(
    "options, sentence",
    [
        pytest.param("", "give either --cron or --every", id="neither"),
        pytest.param("--cron '0 0 0 * * *' --every 2h", "give either --cron or --every", id="both"),
        pytest.param("--cron '30 9 * * 1'", "five fields", id="five fields"),
        pytest.param("--cron nonsense", "is not a cron expression", id="nonsense"),
        pytest.param("--every soon", "--every soon is not a duration", id="no duration"),
        pytest.param("--every 2h --at-once 11", "1 to 10", id="too many at once"),
        pytest.param("--every 2h --start soon", "--start soon is not a time", id="no time"),
    ],
)
def test_a_schedule_that_cannot_be_is_told(kfp, adder, options, sentence):
    with pytest.raises(BadRequest) as error:
        kfp(f"recurring create {adder} -p x=1 {options}")
    assert sentence in str(error.value)


# --- the rest ----------------------------------------------------------------------------------


def test_alone_it_tells_what_goes_on_and_what_is_useful_now(shell, kfp, sleeper, unique):
    run = kfp(f"run {sleeper} --name {unique}")
    wait_until(lambda: kfp("show").state == "RUNNING")
    overview = kfp()
    assert run.run_id in [each.run_id for each in overview.active]
    text = shown(shell, overview)
    assert (
        "Running, and failed recently" in text and "%kfp help" in text and "the local KFP" in text
    )
    kfp(f"terminate {run.run_id}")


def test_no_display_says_how_long_ago(shell, kfp, adder, unique):
    kfp(f"run {adder} -p x=1 --name {unique}")
    assert " ago" not in (text := shown(shell, kfp(f"runs --name {unique}")))
    assert "just now" not in text


@pytest.mark.parametrize(
    "line, sentence",
    [
        pytest.param("experiment churn", "%kfp experiment get churn shows one", id="a name"),
        pytest.param("pipeline uplod x", "Did you mean %kfp pipeline upload?", id="near"),
        pytest.param(
            "runs failed", "%kfp runs has no action failed; %kfp show failed", id="a state"
        ),
        pytest.param("stop x", "%kfp terminate RUN", id="stop"),
        pytest.param("wait x", "%kfp show RUN --wait", id="wait"),
        pytest.param("schedule x", "%kfp recurring create", id="schedule"),
        pytest.param("runs --state done", "--state takes no done", id="state"),
        pytest.param(
            "runs --since yesterday",
            "--since yesterday is neither a duration nor a date",
            id="since",
        ),
        pytest.param("runs --sort size", "Cannot sort by size", id="sort"),
        pytest.param("runs --json", "there is no option --json; it has -e", id="no such option"),
        pytest.param("helps", "Did you mean %kfp help?", id="help"),
        pytest.param("runs --sort nmae", "Did you mean name?", id="near a column"),
        pytest.param("runs -n alcie", "Did you mean -n alice?", id="near a namespace"),
        pytest.param("connect http://x", "write --endpoint http://x instead", id="an address"),
        pytest.param(
            "connect --endpoint http://127.0.0.1:1 --cookie-file /no/file",
            "/no/file cannot be read",
            id="a setting",
        ),
    ],
)
def test_what_is_not_understood_says_what_was_meant(kfp, line, sentence):
    with pytest.raises(KfpError) as error:
        kfp(line)
    assert sentence in str(error.value)


def test_a_run_or_task_that_is_not_there_is_called_as_what_is_like_it(kfp, adder, unique):
    run = kfp(f"run {adder} -p x=1 --name {unique} --wait")
    for line, meant in [
        ("show latst", "Did you mean latest?"),
        (f"terminate x{unique}", f"Did you mean {unique}?"),
        (f"logs {run.run_id} ad", "Did you mean add?"),
        (f"clone {run.run_id} -p lable=x", "Pipeline adder has no parameter lable. Did you mean"),
    ]:
        with pytest.raises(KfpError) as error:
            kfp(line)
        assert meant in str(error.value)


def test_help_has_examples_and_the_docstring_names_every_verb(shell, kfp, capsys):
    from jupyter_kfp_mt.notebook.verbs import VERBS

    kfp("help recurring create")
    assert "--cron '0 30 9 * * 1-5'" in capsys.readouterr().out
    kfp("run --help")
    assert "examples:" in (said := capsys.readouterr().out) and "usage: %kfp run" in said
    told = InteractiveShell.instance().find_line_magic("kfp").__doc__
    missing = [verb.name for verb in VERBS if verb.name.split()[-1] not in told]
    assert missing == [] or set(missing) <= {
        "recurring enable",
        "recurring disable",
        "recurring get",
    }


def test_a_table_has_durations_parameters_and_metrics(kfp, scored, unique):
    kfp(f"run {scored} -p rate=0.5 -e {unique} --wait")
    (row,) = kfp(f"runs -e {unique}").records()
    assert isinstance(row["duration"], timedelta)
    assert (row["params.rate"], row["metrics.accuracy"]) == (0.5, 0.75)


def test_the_specification_is_left_alone_by_no_cache(kfp, adder):
    before = yaml.safe_load(adder.read_text())
    kfp(f"run {adder} -p x=1 --no-cache")
    assert yaml.safe_load(adder.read_text()) == before
