"""The `%kfp` magic: parse the line, call the verb, let the value show itself.

What it takes to call a verb is imported at the first call: loading the magic costs next to nothing.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class, output_can_be_silenced
from IPython.display import display
from traitlets import observe

from ..settings import CREDENTIALS, KUBERNETES, Kfp

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.choose_connection import Connection
    from ..doctor.check_results import CheckReport
    from ..errors import KfpError
    from ..models import Run
    from ..namespaces.namespace_source import NamespaceSource
    from .live_run_view import LiveRun
    from .run_card import Cards

LONG_CURE = 5  # lines

# Where the values of this package are defined, by name: registering a view imports none of them.
_VALUES = {
    "jupyter_kfp_mt.models": ("Page", "Run", "Experiment", "Pipeline", "PipelineVersion"),
    "jupyter_kfp_mt.doctor.check_results": ("CheckReport",),
    "jupyter_kfp_mt.notebook.verbs": ("Overview", "Chosen", "Log", "Known", "Looked", "Sharing"),
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

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            from ..connection.choose_connection import decide

            self._connection = decide(self)
        return self._connection

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self.connection.client()
        return self._client

    def connect(self, endpoint: str, token_file: str, namespace: str, identity: str) -> None:
        from ..connection.choose_connection import decide

        given = {"endpoint": endpoint, "token_file": token_file, "namespace": namespace}
        configured = {name: getattr(self, name) for name in Kfp.class_own_traits(config=True)}
        if token_file or identity:  # another kind would contradict it
            configured.update(dict.fromkeys(set(CREDENTIALS) - set(KUBERNETES), ""))
        chosen = {name: text for name, text in given.items() if text}
        connection = decide(Kfp(**{**configured, **chosen}), identity)
        client = connection.client()
        self.close()
        self._connection, self._client = connection, client

    @observe(*Kfp.class_own_traits(config=True))
    def _on_setting(self, _: Any) -> None:
        """`%config KfpMagics.namespace = ...` counts from the next verb on."""
        self.close()

    def close(self) -> None:
        """Give the connections back; the next verb connects anew."""
        if self._client is not None:
            self._client.close()
        self._connection = self._client = self._cards = None

    def examine(self, isolation: bool, others: tuple[str, ...]) -> CheckReport:
        from ..connection.choose_connection import door_of
        from ..doctor import run_checks

        namespace = self._client.namespace if self._client else ""
        if self._connection.door if self._connection else door_of(self):
            return run_checks.examine(self, namespace, isolation, others)
        # The decision that it looks at is that of the next verb.
        return run_checks.look(lambda: self.connection, self, namespace, isolation, others)

    def tenants(self) -> NamespaceSource:
        from ..namespaces import namespace_source

        door = self.connection.door
        if door:
            return namespace_source.DoorNamespaceSource(door)
        return namespace_source.of_client(self, self.connection.status(), self.client)

    def show(self, run: Run) -> None:
        from .live_run_view import LiveRun

        if self._live is None or not self._live.is_here(run):
            self._live = LiveRun(run, self._shell, self.cards)
        self._live.update(run)

    @property
    def cards(self) -> Cards:
        """What makes a picture of a run."""
        if self._cards is None:
            from ..client.sdk_links import pages_of
            from .run_card import Cards

            client = self.client
            pages = pages_of(client.endpoint, self.value("ui_url"), client.health().local)
            self._cards = Cards(client, pages)
        return self._cards

    def pictured(self, run: Run) -> dict[str, Any] | None:
        """A run in every form that a front end may draw; a terminal has its own."""
        if not hasattr(self._shell, "kernel"):
            return None
        return self.cards.shown(run)

    def say(self, text: str) -> None:
        print(text)

    @output_can_be_silenced
    @line_magic
    def kfp(self, line: str) -> Any:
        """Kubeflow Pipelines from a cell; `%kfp help` lists what it can do."""
        from ..errors import KfpError
        from .parser import HelpShown, parse

        try:
            arguments = parse(_words(line))
            return arguments.verb.call(self, arguments)
        except KfpError as error:
            raise UsageError(self._told(error)) from None
        except HelpShown:
            return None

    def _told(self, error: KfpError) -> str:
        """What an error says. A cure of many lines is shown beside it, to be taken from there."""
        if not hasattr(self._shell, "kernel") or error.cure.count("\n") < LONG_CURE:
            return str(error)
        from .render import html, text

        display({"text/html": html(error), "text/plain": text(error)}, raw=True)
        return error.message

    def skip_what_is_shown(self, run: Run) -> None:
        """Show nothing for a run that its cell has watched: it is there already."""
        if self._live is None or not self._live.is_here(run):
            raise NotImplementedError  # IPython's word for: show it the usual way


def _words(line: str) -> list[str]:
    try:
        return shlex.split(_without_comment(line).rstrip().removesuffix(";"))
    except ValueError as error:  # a quotation that does not end
        raise UsageError(f"%kfp {line}: {str(error).lower()}") from None


def _without_comment(line: str) -> str:
    """The line up to a # that begins a word outside quotes, as in a shell."""
    quote, escaped, begins = "", False, True
    for place, sign in enumerate(line):
        if sign == "#" and begins:
            return line[:place]
        begins = sign.isspace() and not quote and not escaped
        if escaped:
            escaped = False
        elif sign == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
    return line


def load(shell: InteractiveShell) -> None:
    """Register `%kfp`, its completion, and how its values look. May be called again."""
    unload(shell)
    magics = KfpMagics(shell)
    shell.register_magics(magics)
    shell.set_hook("complete_command", _complete, str_key="%kfp")
    formatter: Any = shell.display_formatter
    for module, names in _VALUES.items():
        for name in names:
            formatter.formatters["text/html"].for_type_by_name(module, name, _html)
            formatter.formatters["text/plain"].for_type_by_name(module, name, _text)
    formatter.mimebundle_formatter.for_type_by_name("jupyter_kfp_mt.models", "Run", magics.pictured)
    formatter.ipython_display_formatter.for_type_by_name(
        "jupyter_kfp_mt.models", "Run", magics.skip_what_is_shown
    )


def unload(shell: InteractiveShell) -> None:
    """Take `%kfp` away and give its connections back."""
    magics = shell.magics_manager.registry.pop(KfpMagics.__name__, None)
    if magics is not None:
        shell.magics_manager.magics["line"].pop("kfp", None)
        shell.configurables.remove(magics)
        shell.strdispatchers["complete_command"].strs.pop("%kfp", None)
        magics.close()


def _html(value: Any) -> str:
    from .render import html

    return html(value)


def _text(value: Any, printer: Any, cycle: bool) -> None:
    from .render import text

    printer.text(text(value))


def _complete(shell: InteractiveShell, event: Any) -> list[str]:
    from .parser import completions

    return completions(event.line, event.symbol)
