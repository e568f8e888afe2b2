"""Calls made to Kubeflow Pipelines 2.17.0 on a cluster, and what it answered: `calls.json.gz`.

The server was built from the release's source and ran in multi-user mode, with MariaDB 10.11 and a
Kubernetes 1.34 behind it. No pods ran. A scenario is a list of calls that depend on each other:

| field | |
|---|---|
| `as` | NAMESPACE/SERVICE-ACCOUNT, whose token was sent; `nobody` sends none |
| `request` | `method`, `path`, `query`, `rawquery`, `headers`, and `json`, `text` or `file` |
| `save` | values of the answer that later calls name: `{{name}}`, and where they are |
| `until` | asked again until there is such a value |
| `pause` | seconds before the call, so that times differ |
| `ignore` | keys of an answer that are not the same twice |
| `answer` | `status`, `content_type`, `headers`, `body` |

`{{u}}` stands for ten digits, others in each scenario; `{"$pipeline": NAME}` for a pipeline beside
the scenarios; `{"$repeat": [TEXT, N]}` for a long text. In answers `<uuid>`, `<time>` and the like
stand for what is never the same.
"""
