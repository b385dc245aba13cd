"""An Optuna study in a database that many processes share."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import ToolchainError, UsageError

if TYPE_CHECKING:
    import optuna

_HEARTBEAT_S, _GRACE_S = 30, 120
_LOCK_S = 60  # SQLite: how long to wait while another process writes
_ASKED = "asked"
# Between attempts to begin a study.
_WAITS_S = (0.2, 0.4, 0.8, 1.6)


def import_optuna() -> Any:
    """The module; ToolchainError where it is missing."""
    try:
        import optuna
    except ImportError as error:
        raise ToolchainError("searching needs Optuna, which is missing: pip install 'tinydeploy[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what fails is raised, and said once
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def without_password(storage: str) -> str:
    """The URL as it may be shown; as it is where it is none."""
    import sqlalchemy.engine
    import sqlalchemy.exc

    try:
        return sqlalchemy.engine.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return storage


@contextlib.contextmanager
def database_words(storage: str) -> Iterator[None]:
    """The database's mistakes as one sentence."""
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (ImportError, sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        first = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
        raise UsageError(
            f"--storage {without_password(storage)} cannot be used ({first}); give a database as Optuna takes it, "
            "such as sqlite:///study.db or postgresql+psycopg://user@host/name, with its driver installed"
        ) from error


def open_study(storage: str, name: str, directions: Sequence[str], asked: str) -> optuna.Study:
    """The study, begun where there is none; trials of processes that died are tried again.

    `asked` is all that is searched, as text: who joins must ask the same. UsageError where the study does not.
    """
    optuna = import_optuna()
    if storage.startswith("sqlite:///"):
        Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    database = _begun_together(
        optuna.storages.RDBStorage,
        storage,
        engine_kwargs={"connect_args": {"timeout": _LOCK_S}} if storage.startswith("sqlite") else None,
        heartbeat_interval=_HEARTBEAT_S,
        grace_period=_GRACE_S,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )
    elsewhere = UsageError(
        f"the study {name} in {without_password(storage)} searches something else (another board, objectives, networks "
        "or settings); repeat its command to join it, or choose another --study"
    )
    try:
        study = _begun_together(
            optuna.create_study,
            storage=database,
            study_name=name,
            directions=directions,
            load_if_exists=True,
            # Unseeded: processes with one seed would all try the same.
            sampler=optuna.samplers.TPESampler(constant_liar=True),
        )
    except ValueError as error:  # of other directions
        raise elsewhere from error
    before = study.user_attrs.get(_ASKED)
    if before not in (None, asked):
        raise elsewhere
    study.set_user_attr(_ASKED, asked)
    return study


def ended(study: optuna.Study, *states: str) -> list[optuna.trial.FrozenTrial]:
    """The trials that ended in one of `states` (COMPLETE, PRUNED), by number; look, do not touch."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState[state] for state in states])


def _begun_together(make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `make` gives. Processes that begin one database at the same time trip over each other's tables; a moment
    later these are there."""
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    for wait_s in _WAITS_S:
        try:
            return make(*arguments, **named)
        except (sqlalchemy.exc.DBAPIError, StorageInternalError):
            time.sleep(wait_s)
    return make(*arguments, **named)
