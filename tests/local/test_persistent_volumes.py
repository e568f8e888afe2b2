"""Config maps, claims and scratch folders, as tasks have them of their namespace."""

import os
import sys
from typing import Optional

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl, kubernetes

from jupyter_kfp_mt.local.execution.executors import persistent_volumes
from jupyter_kfp_mt.local.execution.executors.persistent_volumes import ClaimRefused
from jupyter_kfp_mt.local.execution.executors.volumes import why_not

needs_mounts = pytest.mark.skipif(
    bool(reason := why_not(["/kfp-mt-trial"], [])), reason=f"not on this machine: {reason}"
)
PLACE = "/kfp-mt-volumes/one"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("volumes"), home=home)
    yield kfp
    kfp.close()


@component
def mode() -> str:
    import os

    return os.environ.get("MODE", "none")


@component
def name_it() -> str:
    return "settings"


@dsl.pipeline
def with_config_map(settings: Optional[str] = None, optional: bool = True):  # noqa: UP045
    task = mode().set_caching_options(False)
    kubernetes.use_config_map_as_env(task, settings, {"mode": "MODE"}, optional=True)


@dsl.pipeline
def with_required_config_map(settings: str = "settings"):
    task = mode().set_caching_options(False)
    kubernetes.use_config_map_as_env(task, settings, {"mode": "MODE"})


@dsl.pipeline
def with_named_config_map():
    task = mode().set_caching_options(False)
    kubernetes.use_config_map_as_env(task, name_it().output, {"mode": "MODE"})


CONFIG_MAPS = [
    pytest.param(with_config_map, {}, "none", id="null"),
    pytest.param(with_config_map, {"settings": "none"}, "none", id="optional"),
    pytest.param(with_config_map, {"settings": "settings"}, "fast", id="optional and there"),
    pytest.param(with_required_config_map, {}, "fast", id="there"),
    pytest.param(with_named_config_map, {}, "fast", id="named by a task"),
]


@pytest.mark.parametrize("pipeline, parameters, value", CONFIG_MAPS)
def test_a_task_has_variables_from_its_namespaces_config_map(runs, pipeline, parameters, value):
    run_id = runs.finish(pipeline, **parameters)
    assert runs.runs.errors[run_id] == ""
    assert runs.outputs(run_id, "mode").parameters == {"Output": value}


LACKING = [
    pytest.param("none", "no config map 'none' in namespace bob", id="config map"),
    pytest.param("settings", "no 'mode' in 'settings' in namespace bob", id="key"),
]


@pytest.mark.parametrize("name, reason", LACKING)
def test_a_config_map_that_the_namespace_lacks_is_named(runs, name, reason):
    run_id = runs.finish(with_required_config_map, namespace="bob", settings=name)
    assert runs.runs.errors[run_id] == (
        f"Task 'mode' failed: {reason}; add it to the `configMaps` of that namespace's profile, "
        "or request it with optional=True"
    )


@component
def look(path: str) -> dict:
    import os

    return {name: open(f"{path}/{name}").read() for name in os.listdir(path)}


@component
def write(path: str, text: str):
    with open(f"{path}/file", "a") as file:
        file.write(text)


@dsl.pipeline
def reading_a_config_map(name: str):
    task = look(path=PLACE).set_caching_options(False)
    kubernetes.use_config_map_as_volume(task, name, PLACE, optional=True)


@needs_mounts
def test_a_config_map_is_a_folder_of_files(runs):
    for name, files in [("settings", {"mode": "fast"}), ("none", {})]:
        run_id = runs.finish(reading_a_config_map, name=name)
        assert runs.runs.errors[run_id] == ""
        assert runs.outputs(run_id, "look").parameters["Output"] == files


@dsl.pipeline
def creating(name: str = "", suffix: str = "", delete: bool = True):
    claim = kubernetes.CreatePVC(
        pvc_name=name,
        pvc_name_suffix=suffix,
        access_modes=["ReadWriteOnce"],
        size="5Gi",
        storage_class_name="standard",
    )
    claim.set_caching_options(False)
    writing = write(path=PLACE, text="from a task").after(claim).set_caching_options(False)
    kubernetes.mount_pvc(writing, claim.outputs["name"], PLACE)
    looking = look(path=PLACE).after(writing).set_caching_options(False)
    kubernetes.mount_pvc(looking, claim.outputs["name"], PLACE)
    with dsl.If(delete == True):  # noqa: E712
        deleting = kubernetes.DeletePVC(pvc_name=claim.outputs["name"])
        deleting.after(looking).set_caching_options(False)


@dsl.pipeline
def reading(name: str):
    task = look(path=PLACE).set_caching_options(False)
    kubernetes.mount_pvc(task, name, PLACE)


@dsl.pipeline
def reading_in_an_interpreter(name: str):
    task = look(path=PLACE).set_caching_options(False).set_env_variable("PYTHONHASHSEED", "1")
    kubernetes.mount_pvc(task, name, PLACE)


def claims(runs, namespace="alice"):
    folder = runs.folder / "namespaces" / namespace / "volumes"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


@needs_mounts
def test_tasks_share_a_claim_until_it_is_deleted(runs):
    run_id = runs.finish(creating, suffix="-scratch")
    assert runs.runs.errors[run_id] == ""
    assert runs.outputs(run_id, "look").parameters["Output"] == {"file": "from a task"}
    name = runs.outputs(run_id, "createpvc").parameters["name"]
    assert name.endswith("-scratch") and name not in claims(runs)
    assert f"Created the claim '{name}'" in runs.log(run_id, "createpvc")
    assert f"Deleted the claim '{name}'" in runs.log(run_id, "deletepvc")
    assert not os.path.exists(PLACE)


@needs_mounts
def test_a_claim_outlives_its_run_and_is_of_its_namespace_alone(runs, unique):
    first = runs.finish(creating, name=unique, delete=False)
    assert runs.runs.errors[first] == "" and claims(runs) == [unique]
    for pipeline in (reading, reading_in_an_interpreter):
        run_id = runs.finish(pipeline, name=unique)
        assert runs.runs.errors[run_id] == ""
        assert runs.outputs(run_id, "look").parameters["Output"] == {"file": "from a task"}
    other = runs.finish(reading, name=unique, namespace="bob")
    assert runs.runs.errors[other] == (
        f"Task 'look' failed: there is no claim '{unique}' in its namespace; "
        "create it with kubernetes.CreatePVC"
    )
    again = runs.finish(creating, name=unique)
    assert f"the claim '{unique}' exists already" in runs.runs.errors[again]


@dsl.pipeline
def creating_once(name: str):
    kubernetes.CreatePVC(pvc_name=name, access_modes=["ReadWriteMany"], size="1Gi")


def test_a_claim_that_is_there_is_reused_and_one_that_is_gone_is_made_again(runs, unique):
    for _ in range(2):
        run_id = runs.finish(creating_once, name=unique)
        assert runs.runs.errors[run_id] == ""
        assert runs.outputs(run_id, "createpvc").parameters["name"] == unique
    persistent_volumes.delete(runs.folder / "namespaces/alice/volumes", {"pvc_name": unique})
    assert runs.runs.errors[runs.finish(creating_once, name=unique)] == ""
    assert unique in claims(runs)


@dsl.pipeline
def with_scratch():
    task = write(path=PLACE, text="x").set_caching_options(False)
    kubernetes.empty_dir_mount(task, "scratch", PLACE)
    kubernetes.add_ephemeral_volume(task, "more", "/kfp-mt-volumes/two", ["ReadWriteOnce"], "1Gi")
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory")
    other = look(path=PLACE).after(task).set_caching_options(False)
    kubernetes.empty_dir_mount(other, "scratch", PLACE)


@needs_mounts
def test_each_task_has_a_scratch_folder_of_its_own(runs):
    run_id = runs.finish(with_scratch)
    assert runs.runs.errors[run_id] == ""
    assert runs.outputs(run_id, "look").parameters["Output"] == {}


@component
def fields() -> list:
    import os

    return [os.environ[name] for name in ("SPACE", "POD", "ACCOUNT", "LABEL")]


@dsl.pipeline
def with_fields():
    task = fields().set_caching_options(False)
    kubernetes.add_pod_label(task, "team", "blue")
    kubernetes.use_field_path_as_env(task, "SPACE", "metadata.namespace")
    kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
    kubernetes.use_field_path_as_env(task, "ACCOUNT", "spec.serviceAccountName")
    kubernetes.use_field_path_as_env(task, "LABEL", "metadata.labels['team']")


@dsl.pipeline
def with_an_unknown_field():
    kubernetes.use_field_path_as_env(mode(), "MODE", "spec.hostname")


def test_a_task_knows_the_fields_of_the_pod_that_it_would_be(runs):
    run_id = runs.finish(with_fields)
    pod = f"with-fields-abcde-{runs.task(run_id, 'fields').task_id}"
    assert runs.outputs(run_id, "fields").parameters["Output"] == [
        "alice",
        pod,
        "default-editor",
        "blue",
    ]
    error = runs.runs.errors[runs.finish(with_an_unknown_field)]
    assert error.startswith("Task 'mode' failed: it uses the field 'spec.hostname' of its pod")


CLAIM = {"access_modes": ["ReadWriteOnce"], "size": "5Gi"}
IMPOSSIBLE = [
    pytest.param({"pvc_name": "a", "pvc_name_suffix": "b"}, "at most one of", id="two names"),
    pytest.param({"pvc_name": "../a"}, "'../a' cannot be the name of a claim", id="a path"),
    pytest.param({"pvc_name": "A"}, "'A' cannot be the name of a claim", id="capital"),
    pytest.param({"pvc_name": "a" * 254}, "cannot be the name of a claim", id="long"),
    pytest.param({"pvc_name_suffix": "/x"}, "cannot be the name of a claim", id="suffix"),
    pytest.param({"size": "big"}, "size is 'big'; it takes a quantity like 5Gi", id="size"),
    pytest.param({"access_modes": ["All"]}, "access_modes is \\['All'\\]; it takes", id="mode"),
    pytest.param({"volume_name": "disk"}, "no persistent volume 'disk' here", id="volume"),
    pytest.param({"data_source": {"kind": "VolumeSnapshot"}}, "only claims", id="snapshot"),
    pytest.param(
        {"data_source": {"kind": "PersistentVolumeClaim", "name": "none"}},
        "there is no claim 'none'",
        id="no source",
    ),
]


@pytest.mark.parametrize("parameters, reason", IMPOSSIBLE)
def test_a_claim_that_cannot_be_is_refused_in_a_sentence(tmp_path, parameters, reason):
    with pytest.raises(ClaimRefused, match=reason):
        persistent_volumes.create(tmp_path, {**CLAIM, **parameters})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["none", "", "..", "../alice"])
def test_a_claim_that_is_not_there_is_neither_deleted_nor_mounted(tmp_path, name):
    with pytest.raises(ClaimRefused, match="there is no claim"):
        persistent_volumes.delete(tmp_path / "volumes", {"pvc_name": name})
    with pytest.raises(ClaimRefused, match="there is no claim"):
        persistent_volumes.mounted(tmp_path / "volumes", name)


def test_a_claim_can_be_a_copy_of_another(tmp_path):
    one = persistent_volumes.create(tmp_path, CLAIM)
    (tmp_path / one / "file").write_text("kept")
    source = {"apiGroup": "", "kind": "PersistentVolumeClaim", "name": one}
    other = persistent_volumes.create(tmp_path, {**CLAIM, "data_source": source})
    assert (tmp_path / other / "file").read_text() == "kept" and other != one


def test_a_folder_in_a_claim_can_be_mounted_and_none_outside(tmp_path):
    name = persistent_volumes.create(tmp_path, CLAIM)
    assert persistent_volumes.mounted(tmp_path, name, "a/b") == str(tmp_path / name / "a/b")
    (tmp_path / name / "out").symlink_to(tmp_path)
    (tmp_path / name / "file").touch()
    for path in ("..", "/etc", "a/../../x", "out", "out/x"):
        with pytest.raises(ClaimRefused, match="leads out of the claim"):
            persistent_volumes.mounted(tmp_path, name, path)
    with pytest.raises(ClaimRefused, match="cannot be a folder of the claim"):
        persistent_volumes.mounted(tmp_path, name, "file")


@pytest.mark.skipif(sys.platform != "linux", reason="processes have volumes only on Linux")
def test_a_volume_over_what_a_task_needs_is_refused(runs):
    @dsl.pipeline
    def over_the_system():
        kubernetes.mount_pvc(look(path="/usr"), "data", "/usr")

    error = runs.runs.errors[runs.finish(over_the_system)]
    assert "a volume mounted at /usr would hide /" in error
