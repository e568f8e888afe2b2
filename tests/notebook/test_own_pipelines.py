"""Pipelines that are Python names of the notebook: uploaded, and with their parameters in order."""

import pytest
from kfp import dsl

from jupyter_kfp_mt.client.pipeline_source import PipelineSource
from jupyter_kfp_mt.errors import BadRequest, NotFound
from jupyter_kfp_mt.notebook import render


@dsl.component(base_image="python:3.11")
def add(zeta: int, alpha: int = 2) -> int:
    return zeta + alpha


@dsl.pipeline
def adding(zeta: int, middle: str = "m", alpha: int = 3, beta: float = 0.5):
    add(zeta=zeta, alpha=alpha)


@pytest.fixture
def own(shell, kfp):
    shell.user_ns.update(adding=adding, add=add, plain=lambda: None)


def test_parameters_come_in_the_order_of_the_signature():
    assert [*PipelineSource.from_component(adding).accepted] == ["zeta", "middle", "alpha", "beta"]
    assert [*PipelineSource.from_component(add).accepted] == ["zeta", "alpha"]


@pytest.mark.parametrize("name", ["adding", "add"])
def test_a_pipeline_of_the_notebook_is_uploaded_and_run_by_its_new_name(own, kfp, unique, name):
    first = kfp(f"pipeline upload {name} --name {unique}")
    assert kfp(f"upload {name} --name {unique}") == first  # the same already
    planned = kfp(f"run {unique} -p zeta=1 --dry-run")
    assert planned.source.name == unique and planned.parameters["zeta"] == 1


def test_what_is_special_to_kubernetes_is_uploaded_as_well(shell, kfp, unique):
    from kfp import kubernetes

    @dsl.pipeline
    def labelled():
        kubernetes.add_pod_label(add(zeta=1), "team", "b")

    shell.user_ns["labelled"] = labelled
    kfp(f"upload labelled --name {unique}")
    assert "platform_spec" in kfp(f"run {unique} --dry-run").source.specification


def test_a_form_takes_a_pipeline_of_the_notebook_in_its_order(own, kfp):
    form = kfp("run adding --form")
    assert [field.name for field in form.fields] == ["zeta", "middle", "alpha", "beta"]


def test_a_misspelt_pipeline_of_the_notebook_is_suggested(own, kfp):
    with pytest.raises(NotFound) as error:
        kfp("run addnig -p zeta=1")
    assert "This notebook has adding: did you mean that?" in error.value.cause


def test_a_function_that_is_no_pipeline_is_not_uploaded(own, kfp):
    with pytest.raises(BadRequest, match="plain is a function of this notebook, not a pipeline"):
        kfp("upload plain")


def test_the_plan_of_a_run_tells_parameters_in_that_order_too(own, kfp):
    told = render.text(kfp("run adding -p zeta=1 --dry-run"))
    assert "3.0" not in told  # a whole number is shown as one
    assert told.index("zeta") < told.index("middle") < told.index("alpha") < told.index("beta")
