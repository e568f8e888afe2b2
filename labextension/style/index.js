// The styles, for JupyterLab's build.
import './base.css';
import './views.css';
