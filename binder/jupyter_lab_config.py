"""The demo's JupyterLab: on the local KFP, with the demo's tenants, as alice."""

from pathlib import Path

here = Path(__file__).parent
c = get_config()  # noqa: F821

c.Kfp.endpoint = "local"
c.Kfp.data = str(here.parent / ".demo")
c.Kfp.profiles = str(here / "profiles.yaml")
c.Kfp.namespace = "alice"

c.Application.log_level = "WARN"
c.ServerApp.root_dir = str(here)
c.LabApp.default_url = "/lab/tree/demo.ipynb"
c.LabApp.app_settings_dir = str(here / "settings")
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
