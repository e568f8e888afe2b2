"""The form that starts a pipeline: its controls, its checks, and what it starts."""

from typing import Optional

import pytest

import jupyter_kfp_mt
from jupyter_kfp_mt.client.pipeline_source import PipelineSource
from jupyter_kfp_mt.errors import KfpError

pytestmark = pytest.mark.usefixtures("as_alice")


@pytest.fixture
def form(shell, adder):
    return shell.run_line_magic("kfp", f"run {adder} --form")


@pytest.fixture
def all_kinds(shell):
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def show(text: str):
        print(text)

    @dsl.pipeline(name="all-kinds")
    def pipeline(
        needed: float,
        switch: bool = True,
        chosen: Optional[bool] = None,  # noqa: UP045
        rows: list = [1, "two"],  # noqa: B006
        poem: str = "one\ntwo",
    ):
        show(text=poem)

    shell.push({"all_kinds": pipeline})


def fields(form):
    return {field.name: field for field in form.fields}


def test_what_is_missing_or_wrong_is_told_as_one_types(form):
    x = fields(form)["x"]
    assert form.start.disabled and "x needs a value: a whole number" in x.problem.value
    x.control.value = "1.5"
    assert form.start.disabled and "takes a whole number, not &#x27;1.5&#x27;" in x.problem.value
    x.control.value = "3"
    assert not form.start.disabled and x.problem.value == ""
    assert form.values() == {"x": 3, "label": "sum"}


def test_a_form_is_filled_in_with_what_the_line_gives(shell, adder):
    shell.push({"more": {"label": "product"}})
    form = shell.run_line_magic("kfp", f"run {adder} -p x=7 --params $more --name seventh --form")
    assert form.values() == {"x": 7, "label": "product"} and form.name.value == "seventh"
    assert not form.start.disabled


@pytest.mark.parametrize(
    "given, message",
    [
        ("-p x=1.5", "takes a whole number, not '1.5'"),
        ("-p y=1", "no parameter y"),
        ("--no-cache", "A form has no --no-cache."),
    ],
)
def test_a_form_is_not_shown_for_what_it_cannot_do(shell, adder, given, message):
    with pytest.raises(KfpError) as error:
        shell.run_line_magic("kfp", f"run {adder} {given} --form")
    assert message in error.value.message


def test_the_button_starts_the_run_and_what_is_refused_is_shown(form, unique, monkeypatch):
    shown = []
    monkeypatch.setattr(form, "_show", shown.append)
    fields(form)["x"].control.value = "3"
    form.name.value = unique
    form.start.click()
    assert form.run.display_name == unique and shown == [form.run]
    assert form.run.runtime_config.parameters == {"x": 3, "label": "sum"}
    form._namespace = "bob"
    form.start.click()
    assert "may not" in form.said.value and "<pre" in form.said.value


def test_each_kind_of_parameter_has_its_control(shell, all_kinds):
    form = shell.run_line_magic("kfp", "run all_kinds --form")
    kinds = {name: type(field.control).__name__ for name, field in fields(form).items()}
    assert kinds == {
        "needed": "Text",
        "switch": "Checkbox",
        "chosen": "Dropdown",
        "rows": "Textarea",
        "poem": "Textarea",
    }
    found = fields(form)
    found["needed"].control.value = "0.5"
    values = {"needed": 0.5, "switch": True, "rows": [1, "two"], "poem": "one\ntwo"}
    assert form.values() == values
    assert found["chosen"].control.disabled
    found["chosen"]._given.value = True
    assert form.start.disabled and not found["chosen"].control.disabled
    found["chosen"].control.value = False
    found["rows"].control.value = "[1"
    assert form.start.disabled and "a JSON list" in found["rows"].problem.value
    found["rows"].control.value = "[]"
    assert form.values() == {**values, "chosen": False, "rows": []}


def test_what_a_pipeline_says_of_itself_is_escaped():
    from jupyter_kfp_mt.client.pipeline_files import Definition
    from jupyter_kfp_mt.notebook.form import Form

    hostile = "<script>alert(1)</script>"
    accepted = {hostile: Definition("STRING", description=hostile)}
    form = Form(PipelineSource(hostile, accepted, {}), None, None)
    texts = [child.value for child in form.fields[0].widget.children if hasattr(child, "value")]
    assert not any("<script>" in str(each) for each in texts[:1] + [form._repr_html_()])


def test_a_listed_pipeline_and_a_file_have_forms_in_code(shell, adder, unique):
    shell.run_line_magic("kfp", f"upload {adder} --name {unique}")
    (found,) = shell.run_line_magic("kfp", f"pipelines --name {unique}")
    assert [field.name for field in found.form().fields] == ["label", "x"]
    assert "x          –      a whole number" in repr(jupyter_kfp_mt.form_of(adder))


def test_what_was_typed_and_started_is_kept_for_when_there_is_no_kernel(form, unique, monkeypatch):
    from jupyter_kfp_mt.notebook import controls as module

    shown = []
    monkeypatch.setenv("JPY_SESSION_NAME", "form.ipynb")
    monkeypatch.setattr(module, "display", lambda data, **options: shown.append((data, options)))
    form._ipython_display_()
    (bundle, _), (place, options) = shown
    assert {module.MIME_TYPE, module.WIDGET_TYPE} < {*bundle}
    assert "Nothing was started" in bundle["text/html"] and "label      sum" in bundle["text/plain"]
    assert place == {"text/plain": ""}
    assert options["metadata"] == {"kfp-mt": {"place": options["display_id"]}}

    kept = form.widget.children[-1]
    assert kept.layout.display == "none" and "<td" in kept.value
    monkeypatch.setattr(form, "_show", lambda run: None)
    fields(form)["x"].control.value = "12345"
    form.name.value = unique
    assert "12345" in kept.value and unique in kept.value
    form.start.click()
    assert f"Started {unique} ({form.run.run_id})." in kept.value
