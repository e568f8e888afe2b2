"""The configuration that a component receives as `dsl.TaskConfig`, as from KFP's driver."""

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl, kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2

from jupyter_kfp_mt.local.execution.run.resource_quantities import canonical, resources

FIELD = dsl.TaskConfigField
ALSO_HERE = [dsl.TaskConfigPassthrough(field=one, apply_to_task=True) for one in FIELD]


@pytest.fixture(scope="module")
def kfp(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("task-config"), home=home)
    yield kfp
    kfp.close()


@component(task_config_passthroughs=list(FIELD))
def hand_on(config: dsl.TaskConfig, place: str = "") -> dict:
    import os

    seen = {name: os.environ.get(name) for name in ("MODE", "PASSWORD", "NAMESPACE")}
    return {**vars(config), "seen": seen, "mounted": os.path.exists("/mnt/kfp-mt-warehouse")}


@component(task_config_passthroughs=ALSO_HERE)
def hand_on_and_use(config: dsl.TaskConfig) -> dict:
    import os

    seen = {name: os.environ.get(name) for name in ("MODE", "PASSWORD", "NAMESPACE")}
    return {**vars(config), "seen": seen}


@component(task_config_passthroughs=[FIELD.ENV])
def hand_on_variables(config: dsl.TaskConfig) -> dict:
    return vars(config)


@component
def keep(config: dsl.TaskConfig) -> dict:
    import os

    return {**vars(config), "seen": os.environ.get("MODE")}


def with_variables(task):
    task.set_env_variable("MODE", "fast").set_env_variable("EMPTY", "")
    kubernetes.use_secret_as_env(task, "warehouse", {"password": "PASSWORD"})
    kubernetes.use_config_map_as_env(task, "settings", {"mode": "LEVEL"}, optional=True)
    return kubernetes.use_field_path_as_env(task, "NAMESPACE", "metadata.namespace")


def with_quantities(task):
    task.set_cpu_request("0.5").set_cpu_limit("2000m")
    task.set_memory_request("2048Mi").set_memory_limit("3000M")
    return task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)


def with_places(task, selector, tolerations):
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_toleration(task, "gpu", "Equal", "yes", "NoExecute", 30)
    kubernetes.add_toleration_json(task, tolerations)
    ssd = [{"key": "disk", "operator": "In", "values": ["ssd"]}]
    kubernetes.add_node_affinity(task, match_expressions=ssd)
    return kubernetes.add_node_affinity(task, match_expressions=ssd, weight=3)


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def handed_on(selector: dict, tolerations: list):
    task = hand_on(place=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/x").set_caching_options(False)
    with_places(with_quantities(with_variables(task)), selector, tolerations)
    kubernetes.use_secret_as_volume(task, "warehouse", "/mnt/kfp-mt-warehouse")
    kubernetes.use_config_map_as_volume(task, "absent", "/mnt/kfp-mt-absent", optional=True)
    kubernetes.mount_pvc(task, "not-here", "/mnt/kfp-mt-claim", sub_path="a")


VARIABLES = [
    {"name": "MODE", "value": "fast"},
    {"name": "EMPTY"},
    {
        "name": "PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "warehouse", "key": "password", "optional": False}},
    },
    {
        "name": "LEVEL",
        "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode", "optional": True}},
    },
    {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
]
TERM = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
QUANTITIES = {
    "limits": {"cpu": "2", "memory": "3G", "nvidia.com/gpu": "1"},
    "requests": {"cpu": "500m", "memory": "2Gi"},
}
NOTHING = dict.fromkeys(
    ["affinity", "tolerations", "node_selector", "env", "volumes", "volume_mounts"]
)


def test_a_component_receives_what_it_hands_on_in_kubernetes_form_and_gets_none_of_it(kfp):
    tolerations = [{"key": "spot", "operator": "Exists"}]
    run_id = kfp.finish(handed_on, selector={"zone": "eu"}, tolerations=tolerations)
    assert kfp.runs.errors[run_id] == ""
    told = kfp.outputs(run_id, "hand-on").parameters["Output"]
    assert told.pop("seen") == dict.fromkeys(("MODE", "PASSWORD", "NAMESPACE"))
    assert not told.pop("mounted")
    assert told == {
        "env": VARIABLES,
        "resources": QUANTITIES,
        "node_selector": {"zone": "eu"},
        "tolerations": [
            {
                "key": "gpu",
                "operator": "Equal",
                "value": "yes",
                "effect": "NoExecute",
                "tolerationSeconds": 30,
            },
            *tolerations,
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 3, "preference": TERM}
                ],
            }
        },
        "volumes": [
            {
                "name": "kfp-workspace",
                "persistentVolumeClaim": {"claimName": "handed-on-abcde-kfp-workspace"},
            },
            {"name": "not-here", "persistentVolumeClaim": {"claimName": "not-here"}},
            {"name": "warehouse", "secret": {"secretName": "warehouse", "optional": False}},
            {"name": "absent", "configMap": {"name": "absent", "optional": True}},
        ],
        "volume_mounts": [
            {"name": "kfp-workspace", "mountPath": "/kfp-workspace"},
            {"name": "not-here", "mountPath": "/mnt/kfp-mt-claim", "subPath": "a"},
            {"name": "warehouse", "mountPath": "/mnt/kfp-mt-warehouse"},
            {"name": "absent", "mountPath": "/mnt/kfp-mt-absent"},
        ],
    }
    shown = kfp.inputs(run_id, "hand-on").parameters["config"]
    assert shown["nodeSelector"] == {"zone": "eu"}, "the API tells it, as the driver records it"
    assert "alices-own" not in str(shown)


@dsl.pipeline
def three_ways():
    with_variables(hand_on_and_use())
    with_variables(hand_on_variables())
    with_quantities(with_variables(keep()))


def test_a_component_gets_only_what_its_passthroughs_name(kfp):
    run_id = kfp.finish(three_ways)
    assert kfp.runs.errors[run_id] == ""
    told = {
        name: kfp.outputs(run_id, name).parameters["Output"]
        for name in ("hand-on-and-use", "hand-on-variables", "keep")
    }
    assert told["hand-on-and-use"]["env"] == VARIABLES
    assert told["hand-on-and-use"]["seen"] == {
        "MODE": "fast",
        "PASSWORD": "alices-own",
        "NAMESPACE": "alice",
    }
    assert told["hand-on-variables"] == {**NOTHING, "env": VARIABLES, "resources": {}}
    assert told["keep"] == {**NOTHING, "resources": {}, "seen": "fast"}


QUANTITY = [
    ("1", "1"),
    ("0.5", "500m"),
    ("2000m", "2"),
    ("1024Mi", "1Gi"),
    ("1.5Gi", "1536Mi"),
    ("0.5Ki", "512"),
    ("20000M", "20G"),
    ("1500", "1500"),
    ("1e3", "1e3"),
    ("12e4", "120e3"),
    ("0", "0"),
    ("-2Gi", "-2Gi"),
]


@pytest.mark.parametrize(("asked", "form"), QUANTITY)
def test_a_quantity_is_told_in_the_form_in_which_kubernetes_writes_it(asked, form):
    assert canonical(asked) == form


def test_resources_of_old_compilers_are_numbers_of_gigabytes_and_processors():
    container = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec()
    asked = container.resources
    asked.cpu_request, asked.cpu_limit, asked.memory_limit = 0.5, 2, 53.6870912
    asked.accelerator.count = 2
    old = {"limits": {"cpu": "2", "memory": "53687091200"}, "requests": {"cpu": "500m"}}
    assert resources(container, {}) == old, "and accelerators of no type are none"
    asked.accelerator.type = "nvidia.com/gpu"
    assert resources(container, {})["limits"]["nvidia.com/gpu"] == "2"
