"""The demo's JupyterLab: on the local KFP, with the demo's tenants, as alice, its panel open."""

from pathlib import Path

from jupyterlab_server.workspaces_handler import WorkspacesManager

here = Path(__file__).parent
own = here.parent / ".demo"
c = get_config()  # noqa: F821

c.Kfp.endpoint = "local"
c.Kfp.data = str(own / "kfp")
c.Kfp.profiles = str(here / "profiles.yaml")
c.Kfp.namespace = "alice"

c.Application.log_level = "WARN"
c.ServerApp.root_dir = str(here)
c.LabApp.default_url = "/lab/tree/first-steps.ipynb"
c.LabApp.app_settings_dir = str(here / "settings")
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"

# The layout of the first visit; what is arranged then is kept.
workspaces = own / "workspaces"
c.LabApp.workspaces_dir = str(workspaces)
if not workspaces.exists():
    workspaces.mkdir(parents=True)
    panel = "jupyter-kfp-mt:sidebar"
    layout = {
        "left": {
            "collapsed": False,
            "visible": True,
            "current": panel,
            "widgets": ["filebrowser", panel],
        },
        "relativeSizes": [0.22, 0.78, 0],
    }
    WorkspacesManager(str(workspaces)).save(
        "default", {"data": {"layout-restorer:data": layout}, "metadata": {"id": "default"}}
    )
