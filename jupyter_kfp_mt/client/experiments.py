"""Experiments: groups of runs."""

from __future__ import annotations

from collections.abc import Sequence

from ..attempts import attempting
from ..errors import Conflict, NotFound
from ..models import Experiment, Page
from ..near_names import did_you_mean
from . import records
from .api import Api, Where
from .listings import Listing
from .queries import equals, filter_words, is_id, list_query, one_of, predicates_of, within
from .run_filters import order


class Experiments(Api):
    """Experiments, by the words of `%kfp`."""

    def experiment(self, experiment_id: str) -> Experiment:
        return self._get("experiments", experiment_id, Experiment)

    def experiments(
        self,
        namespace: Where = "",
        name: str = "",
        sort: str = "",
        limit: int = 0,
        archived: bool | None = False,
    ) -> Listing[Experiment]:
        """The experiments of a namespace or of several, newest first, page by page.

        `name`: a part of their names. `archived`: None for both.
        """
        return self._listing(
            *("experiments", Experiment, namespace),
            predicates_of(name, archived),
            order(sort, {"created": "created_at", "name": "display_name"}),
            limit=limit,
            filters=filter_words(name=name, archived=archived),
            record=records.experiment,
        )

    def experiment_page(
        self, namespace: str = "", page_size: int = 20, page_token: str = ""
    ) -> Page[Experiment]:
        """One page of the experiments of a namespace, newest first."""
        query = list_query(page_size, page_token)
        return self._page("experiments", Experiment, namespace, query)

    def experiments_of(self, ids: Sequence[str], namespace: str = "") -> Page[Experiment]:
        """The experiments of a namespace with one of these ids, archived or not, in one page."""
        query = list_query(len(ids), "", one_of("experiment_id", [*ids]))
        return self._page("experiments", Experiment, namespace, query)

    def create_experiment(
        self, name: str, namespace: str = "", description: str = ""
    ) -> Experiment:
        """Create an experiment. Raises `Conflict` if the namespace has one with that name."""
        where = self._namespace(namespace)
        body = {"display_name": name, **({"namespace": where} if where else {})}
        if description:
            body["description"] = description
        with attempting(f"create experiment {name}"):
            return self.transport.post("experiments", Experiment, body)

    def ensure_experiment(self, name: str, namespace: str = "") -> Experiment:
        """Return the experiment with that name, which is created if there is none."""
        where = self._namespace(namespace)
        with attempting(f"create experiment {name}"):
            found = self._experiments_named(name, where)
            try:
                return found[0] if found else self.create_experiment(name, where)
            except Conflict:  # somebody else created it just now
                return self._experiments_named(name, where)[0]

    def experiment_named(self, name: str, namespace: str = "") -> Experiment:
        """A namespace's experiment by its name. Raises `NotFound`."""
        where = self._namespace(namespace)
        with attempting(f"find experiment {name}"):
            found = self._experiments_named(name, where)
        if not found:
            known = [each.display_name for each in self.experiments(namespace).shown()]
            raise NotFound(
                f"No experiment {name}{within(where, 'in namespace')}.{did_you_mean(name, known)}",
                cure="%kfp experiments lists them.",
            )
        return found[0]

    def find_experiment(self, text: str, namespace: str = "") -> Experiment:
        """Return the experiment with this id or name."""
        return self.experiment(text) if is_id(text) else self.experiment_named(text, namespace)

    def archive_experiment(self, experiment_id: str) -> None:
        """Archive an experiment and all its runs; its recurring runs are disabled."""
        self._change("experiments", experiment_id, "archive")

    def restore_experiment(self, experiment_id: str) -> None:
        """Take an experiment out of the archive; its runs stay there."""
        self._change("experiments", experiment_id, "unarchive", "restore")

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment; its runs stay."""
        self._delete("experiments", experiment_id)

    def _experiments_named(self, name: str, namespace: str) -> list[Experiment]:
        query = list_query(1, "", filter=equals("display_name", name))
        return self._page("experiments", Experiment, namespace, query).items
