#!/usr/bin/env bash
# Which kfp uv installs depends on the order in which requirements are written.
#
# kfp 2.17.3 pins requests and urllib3 to one version each, as no kfp before 2.17 does. A project that
# asks for kfp and for requests, both without a limit, gets the newest requests and then, in silence, a
# kfp that is a release older, if requests is named first; with kfp first it gets the newest kfp and an
# older requests. One would expect the order to make no difference, or the newest of what one asks for.
# A package whose own dependencies name requests and whose extra names kfp is in the first case.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv tools
tools/bin/pip install --quiet --disable-pip-version-check uv==0.9.11
index=${PIP_INDEX_URL:-$(tools/bin/pip config get global.index-url 2>/dev/null || true)}

# Nothing newer than what this was seen with.
printf '%s\n' 'kfp<=2.17.3' 'requests<=2.34.2' 'urllib3<=2.8.0' 'kubernetes<=37' >newest.txt

resolved() {
  printf '%s\n' "$@" >requirements.in
  UV_DEFAULT_INDEX=$index tools/bin/uv pip compile --quiet --python-version 3.11 --no-header \
    --no-annotate --constraint newest.txt requirements.in | grep -E '^(kfp|requests)==' | xargs
}

tools/bin/uv --version
first=$(resolved requests kfp)
second=$(resolved kfp requests)
echo "requests, then kfp: $first"
echo "kfp, then requests: $second"
[ "$first" = 'kfp==2.16.1 requests==2.34.2' ] && [ "$second" = 'kfp==2.17.3 requests==2.33.0' ]
