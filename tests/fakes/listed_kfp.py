"""A KFP whose lists have what a test puts into them, and which counts what it is asked."""

import json
from collections import Counter
from urllib.parse import unquote

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp, refusal

LISTS = {"runs": "run_id", "recurringRuns": "recurring_run_id", "experiments": "experiment_id"}


class ListedKfp(GuardedKfp):
    """A KFP with the runs and the like that a test puts into it."""

    def __init__(self, **options):
        self.runs, self.recurringRuns, self.experiments = {}, {}, {}
        super().__init__(**options)

    def add(self, number, state="RUNNING", tasks=(), noun="runs"):
        """The id of something made at second `number`; what was there with it is replaced."""
        key = f"00000000-0000-4000-8000-{number:012}"
        made = {
            LISTS[noun]: key,
            "display_name": f"{noun} {number}",
            "created_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
            "state": state,
            "pipeline_spec": {"long": "x" * 1000},
            "run_details": {"task_details": [{"run_id": key, **task} for task in tasks]},
        }
        getattr(self, noun)[key] = made
        return key

    def found(self, request, path):
        if request.method == "POST":
            self.add(1, noun="experiments")
            return Answer(200, {})
        noun, _, key = path.partition("/")
        if request.method == "DELETE":
            self.runs.pop(key, None)
            return Answer(200, {})
        if key:
            missing = refusal(404, 5, f"Run {key} not found")
            return Answer(200, self.runs[key]) if key in self.runs else missing
        noun = {"recurringruns": "recurringRuns"}.get(noun, noun)
        return self.listed(noun, request.query)

    def listed(self, noun, query):
        items = sorted(getattr(self, noun).values(), key=lambda item: item["created_at"])[::-1]
        if "filter" in query:
            (predicate,) = json.loads(unquote(query["filter"]))["predicates"]
            values = predicate["string_values"]["values"]
            items = [item for item in items if item["state"] in values]
        size = int(query["page_size"])
        more = {"next_page_token": "more"} if len(items) > size else {}
        return Answer(200, {noun: items[:size], "total_size": len(items), **more})

    def costs(self):
        """Count how often each list, or single run, was asked for; healthz is left out."""
        asked = [request.path.split("/")[3] for request in self.asked]
        return Counter(noun for noun in asked if noun != "healthz")


@pytest.fixture
def multi_user():
    return True


@pytest.fixture
def behind(serve, multi_user):
    return serve(ListedKfp, multi_user=multi_user)
