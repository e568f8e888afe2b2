# A notebook image for Kubeflow: docker build -t IMAGE -f binder/kubeflow.Dockerfile binder
# Take the tag that your Kubeflow uses.
ARG KUBEFLOW=v1.10.0
FROM ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-scipy:${KUBEFLOW}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# After whatever conda installs, which may empty the folder where Jupyter looks for extensions.
ARG VERSION=0.1.0
RUN python3 -m pip install --no-cache-dir "jupyter-kfp-mt==${VERSION}" \
 && jupyter server extension list 2>&1 | grep "jupyter_kfp_mt.*OK" \
 && jupyter labextension list 2>&1 | grep "jupyter-kfp-mt.*OK"
