"""The `%kfp` magic: parse the line, call the verb, and let the value display itself.

The modules that a verb needs are imported at the first call, so loading the magic costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.display import display
from traitlets import observe

from ..settings import CREDENTIALS, KUBERNETES, Kfp

if TYPE_CHECKING:
    from ..client.client import Client
    from ..client.pipeline_source import PipelineSource
    from ..client.provenance import Provenance
    from ..connection.connections import Connection
    from ..connection.kernel_namespace import KernelNamespace
    from ..connection.local_kfp import LocalKfp, LocalKfpUse
    from ..doctor.check_results import CheckReport
    from ..errors import KfpError
    from ..models import Run
    from ..namespaces.namespace_source import NamespaceSource
    from ..namespaces.permissions import Table
    from .known_names import KnownNames
    from .live_run_view import LiveRun
    from .run_card import Cards

LONG_CURE = 5  # lines

# The modules and names of this package's values: registering a view imports none of them.
_VALUES = {
    "jupyter_kfp_mt.models": (
        *("Page", "Run", "Experiment", "Pipeline", "PipelineVersion", "RecurringRun"),
    ),
    "jupyter_kfp_mt.client.listings": ("Listing",),
    "jupyter_kfp_mt.client.results": ("Artifacts", "Comparison"),
    "jupyter_kfp_mt.doctor.check_results": ("CheckReport",),
    "jupyter_kfp_mt.notebook.verbs.values": (
        *("BulkChange", "ContributorList", "Log", "NamespaceChoice", "NamespaceDetails"),
        *("NamespaceListing", "Notice", "Overview", "RunPlan"),
    ),
}


@magics_class
class KfpMagics(Kfp, Magics):
    """Namespaced experiments, pipelines and runs of Kubeflow Pipelines."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._shell = shell
        self._connection: Connection | None = None
        self._client: Client | None = None
        self._live: LiveRun | None = None
        self._cards: Cards | None = None
        # Our use of the local KFP, until the session ends: a server started for us stops then.
        self._local_use: LocalKfpUse | None = None
        self._by: str | None = None
        self._namespace: KernelNamespace | None = None
        self._followed = ""  # the namespace that the client was last given
        self._names: KnownNames | None = None
        self._matcher: Callable[[Any], Any] | None = None
        self.last_run = ""
        self._drawn: tuple[Run | None, str] = (None, "")  # the last error, as text
        self._pictured = ("", 0)  # the run that a cell already shows, and that cell

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            from ..connection.choose_connection import decide

            self._connection = decide(self)
        return self._connection

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._with_origin(self.connection.client())
            self._followed = self._client.namespace
            self._use(self.namespace_in_use.name)
        return self._client

    @property
    def namespace_in_use(self) -> KernelNamespace:
        """The namespace of this kernel, and that of the other kernels of this server."""
        if self._namespace is None:
            from .origin import kernel_id

            self._namespace = self.connection.kernel_namespace(kernel_id(self._shell))
        return self._namespace

    def use_namespace(self, namespace: str, everywhere: bool = False) -> None:
        chosen = self.namespace_in_use
        (chosen.share if everywhere else chosen.choose)(namespace)
        self._use(chosen.name)

    def _follow_namespace(self) -> None:
        """Use a namespace chosen in the meantime in the panel or in another notebook."""
        from ..errors import KfpError

        if self._client is None:
            return  # reported when connecting
        try:
            self.namespace_in_use.look()
        except KfpError:
            return  # the verb reports the fault, if it matters there
        self._use(self.namespace_in_use.name)

    def _use(self, namespace: str) -> None:
        """Use a namespace from now on, unless the user has set another one on the client."""
        if namespace != self._followed:
            self.client.namespace = self._followed = namespace
            self.forget_names()

    def connect(self, settings: dict[str, str], identity: str) -> None:
        from ..connection.choose_connection import decide

        configured = {name: getattr(self, name) for name in Kfp.class_own_traits(config=True)}
        kinds = set(CREDENTIALS) - set(KUBERNETES)
        if kinds & set(settings) or identity:  # a configured kind would contradict it
            configured.update(dict.fromkeys(kinds, ""))
        connection = decide(Kfp(**{**configured, **settings}), identity, self._local_kfp)
        client = self._with_origin(connection.client())
        if settings or identity:
            self._check_works(connection, client)
        self.close()
        self._connection, self._client = connection, client
        self._followed = client.namespace

    def _check_works(self, connection: Connection, client: Client) -> None:
        """Raises the `KfpError` of an unusable connection; the previous one stays in use."""
        from contextlib import suppress

        from ..errors import BadRequest, Forbidden, KfpError

        try:
            if problem := connection.status().error:
                raise problem.to_error()
            with suppress(
                Forbidden, BadRequest
            ):  # listing runs may be allowed in another namespace
                client.run_page(page_size=1)
        except KfpError as error:
            client.close()
            before = (
                f"still uses {self._connection.endpoint}" if self._connection else "still works"
            )
            told = f"{error.message} Nothing has changed: %kfp {before} as before."
            raise error.with_(sentence=told) from None

    def _local_kfp(self) -> LocalKfp:
        """The running local KFP; if there is none, one is started, with a notice."""
        from ..connection.local_kfp import LocalKfpUse
        from ..credentials import shown

        use = LocalKfpUse(self.data_folder(), self.profiles_file())
        if use.is_new:
            self.say(
                f"Started a local KFP in {shown(self.data_folder())}. It stops when this "
                "session ends, unless somebody else is using it."
            )
        self.leave_local_kfp()
        self._local_use = use
        return use.kfp

    def leave_local_kfp(self) -> None:
        """Stop using the local KFP; it stops with its last user."""
        if self._local_use is not None:
            self._local_use.close()
            self._local_use = None

    @observe(*Kfp.class_own_traits(config=True))
    def _on_setting(self, change: Any) -> None:
        """Apply `%config KfpMagics.namespace = ...` from the next verb on."""
        if change.name == "namespace" and not change.new and self._namespace:
            self._namespace.choose("")
        self.close()

    def close(self) -> None:
        """Close the connections; the next verb connects again."""
        if self._client is not None:
            self._client.close()
        self._connection = self._client = self._cards = self._namespace = None
        self._by, self.last_run = None, ""
        if self._names is not None:
            self._names.forget()

    def _with_origin(self, client: Client) -> Client:
        client.origin = self.provenance
        return client

    def provenance(self) -> Provenance:
        from .origin import here

        if self._by is None:
            self._by = self._subject()
        return here(self._shell, self._by)

    def _subject(self) -> str:
        """The user whom the token names; empty if it names none."""
        from ..errors import KfpError
        from ..resource_names import short_name

        try:
            return short_name(self.connection.subject())
        except KfpError:
            return ""

    @property
    def names(self) -> KnownNames:
        """The names that completion knows."""
        if self._names is None:
            from .known_names import KnownNames

            self._names = KnownNames(self._another_client, self._usable_namespaces)
        return self._names

    def _another_client(self) -> Client:
        """A client for another thread, in the namespace in use."""
        client = self.connection.client()
        client.namespace = self.client.namespace
        return client

    def _usable_namespaces(self) -> list[str]:
        from contextlib import closing

        with closing(self.tenants()) as tenants:
            found = tenants.found(self.client.namespace).namespaces
        return [each.name for each in found if each.usable is not False]

    def complete(self, context: Any) -> Any:
        """IPython's matcher; its modules are imported at the first line of `%kfp`."""
        if self._matcher is None:
            if "%kfp" not in context.line_with_cursor:
                return {"completions": []}
            from .completion import matcher

            self._matcher = matcher(
                lambda kind, of: self.names.get(kind, of), lambda: self._shell.user_ns
            )
        return self._matcher(context)

    def forget_names(self) -> None:
        if self._names is not None:
            self._names.forget()

    @property
    def variables(self) -> dict[str, Any]:
        found: dict[str, Any] = self._shell.user_ns
        return found

    @property
    def is_terminal(self) -> bool:
        return not hasattr(self._shell, "kernel")

    def examine(self, isolation: bool, others: tuple[str, ...]) -> CheckReport:
        from ..doctor import run_checks

        namespace = self._client.namespace if self._client else ""
        # It examines the decision that the next verb would make.
        return run_checks.examine(
            self, namespace, isolation, others, self._connection, lambda: self.connection
        )

    def tenants(self) -> NamespaceSource:
        from ..namespaces import namespace_source

        return namespace_source.of_connection(self, self.connection, self.client)

    def permissions(self) -> dict[str, Table]:
        """The permissions in each namespace, as far as they are known."""
        from contextlib import closing

        with closing(self.tenants()) as tenants:
            found = tenants.found(self.client.namespace).namespaces
        return {each.name: each.permissions for each in found}

    def show(self, run: Run) -> None:
        from .live_run_view import LiveRun

        self.names.tell(run, self._followed)
        if self._live is None or not self._live.is_here(run):
            self._live = LiveRun(run, self._shell, self.cards)
        self._live.update(run)

    def picture(self, run: Run) -> None:
        self._pictured = (run.run_id, self._shell.execution_count)
        display(self.cards.shown(run), raw=True)

    @property
    def cards(self) -> Cards:
        """The maker of run cards."""
        if self._cards is None:
            from ..client.sdk_links import pages_of
            from .run_card import Cards

            client = self.client
            pages = pages_of(client.endpoint, self.value("ui_url"), client.health().local)
            self._cards = Cards(client, pages)
        return self._cards

    def form(self, source: PipelineSource, namespace: str = "", experiment: str = "") -> Any:
        """A form that starts a pipeline, displayed with ipywidgets."""
        from .form import Form

        return Form(source, self.client, lambda: self.cards, namespace, experiment or "Default")

    def pictured(self, run: Run) -> dict[str, Any] | None:
        """A run in every MIME type that a front end may draw; None in a terminal."""
        if self.is_terminal:
            return None
        shown = self.cards.shown(run)
        self._drawn = run, shown["text/plain"]
        return shown

    def written(self, run: Run, printer: Any, cycle: bool) -> None:
        """Print a run as text, with its tasks as a tree where a cell shows the run."""
        from .render import text

        drawn, told = self._drawn
        if drawn is not run:
            told = text(self.cards.of(run) if self.is_terminal else run)
        printer.text(told)

    def say(self, text: str) -> None:
        print(text)

    @output_can_be_silenced
    @no_var_expand
    @line_cell_magic
    def kfp(self, line: str, cell: str | None = None) -> Any:
        """Kubeflow Pipelines from a cell.

        %kfp                      who and where you are, and what is running
        %kfp run PIPELINE         start a pipeline: an uploaded one, a file, or a @dsl.pipeline;
                                  -p name=value, --params $dict, --wait, --watch, --dry-run
        %kfp show [RUN]           a run, live; terminate, retry, clone, archive, restore, delete
        %kfp runs                 --state failed --since 2d --mine --notebook -e EXPERIMENT
        %kfp logs [RUN] [TASK]    the output of tasks; -f follows one
        %kfp compare RUN RUN      parameters and metrics side by side; artifacts RUN
        %kfp recurring            recurring create PIPELINE --cron '0 30 9 * * 1-5', or --every 2h
        %kfp pipelines            upload PIPELINE, versions PIPELINE, pipeline get, pipeline delete
        %kfp experiments          experiment create, get, archive, restore, delete
        %kfp ns [NAME]            the namespace in use; namespaces, contributors
        %kfp connect, %kfp doctor use another connection; find faults in this one
        %%kfp task -i A -o B      the rest of the cell as a task, with variables in and out
        %%kfp run PIPELINE        the rest of the cell is YAML with the parameters

        A RUN is an id, a name, the beginning of one, or latest. -n NAMESPACE uses another
        namespace, -A every one that you may read. Failures raise a KfpError. Every list has
        .to_pandas(). `%kfp help VERB` shows options and examples.
        """
        from ..errors import KfpError
        from .line import words
        from .parser import HelpShown, parse

        try:
            found = words(line, self._shell.user_ns, lambda text: self.say(f"Warning: {text}"))
            arguments = parse(found, cell)
            self._follow_namespace()
            value = self._called(arguments)
            self.names.tell(value, self._followed)
            self.names.refresh()
            return value
        except KfpError as error:
            self._explain(error)
            raise error.with_traceback(None) from None
        except HelpShown:
            return None

    def _called(self, arguments: Any) -> Any:
        """The value of a verb. A refused namespace that is near to a usable one is doubted."""
        from ..errors import Forbidden

        try:
            return arguments.verb.call(self, arguments)
        except Forbidden as error:
            from .verbs.connection import near_namespace

            named = getattr(arguments, "namespace", "")
            near = near_namespace(self, named) if named else ""
            told = error.with_(cause="", cure=f"Did you mean -n {near}?") if near else error
            raise told from None

    def _explain(self, error: KfpError) -> None:
        """Show a cure of several lines below its error, where it can be copied."""
        if hasattr(self._shell, "kernel") and error.cure.count("\n") >= LONG_CURE:
            from .render import html, text

            display({"text/html": html(error), "text/plain": text(error)}, raw=True)
            error.is_explained = True

    def skip_what_is_shown(self, run: Run) -> None:
        """Display nothing for a run that the cell has already shown live."""
        is_pictured = self._pictured == (run.run_id, self._shell.execution_count)
        if not is_pictured and (self._live is None or not self._live.is_here(run)):
            raise NotImplementedError  # tells IPython to display it in the usual way


def load(shell: InteractiveShell) -> None:
    """Register `%kfp`, its completion and the views of its values. May be called again."""
    unload(shell)
    magics = KfpMagics(shell)
    shell.register_magics(magics)
    shell.Completer.custom_matchers.append(_matcher_of(magics))
    formatter: Any = shell.display_formatter
    for module, names in _VALUES.items():
        for name in names:
            formatter.formatters["text/html"].for_type_by_name(module, name, _html)
            formatter.formatters["text/plain"].for_type_by_name(module, name, _text)
    plain = formatter.formatters["text/plain"]
    plain.for_type_by_name("jupyter_kfp_mt.models", "Run", magics.written)
    formatter.mimebundle_formatter.for_type_by_name("jupyter_kfp_mt.models", "Run", magics.pictured)
    formatter.ipython_display_formatter.for_type_by_name(
        "jupyter_kfp_mt.models", "Run", magics.skip_what_is_shown
    )


def unload(shell: InteractiveShell) -> None:
    """Remove `%kfp` and close its connections."""
    magics = shell.magics_manager.registry.pop(KfpMagics.__name__, None)
    if magics is not None:
        for kind in ("line", "cell"):
            shell.magics_manager.magics[kind].pop("kfp", None)
        matchers = shell.Completer.custom_matchers
        matchers[:] = [
            each for each in matchers if getattr(each, "matcher_identifier", "") != "kfp"
        ]
        shell.configurables.remove(magics)
        magics.close()
        magics.leave_local_kfp()


def _matcher_of(magics: KfpMagics) -> Any:
    from IPython.core.completer import context_matcher

    @context_matcher(identifier="kfp", priority=100)
    def kfp(context: Any) -> Any:
        return magics.complete(context)

    return kfp


def _html(value: Any) -> str:
    from .render import html

    return html(value)


def _text(value: Any, printer: Any, cycle: bool) -> None:
    from .render import text

    printer.text(text(value))
