# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a plan, finish it in another process, or take it back.

Killed anywhere, the journal says how far it came. A step that fails is taken back with all
steps before it, at once: the machine is then as it was before the run.
"""

from collections.abc import Callable
from typing import Generic

from hostkit.errors import HostkitError, Refused, StoppedHalfway
from hostkit.plan.codec import to_json
from hostkit.plan.journal import Event, Header, Journal, Journals, Status
from hostkit.plan.plan import Plan, read_step
from hostkit.plan.step import Kinds, M, Step

# What can go wrong in a step: a Ctrl-C and a fault of the step's own count too, so that
# nothing is left half done.
_FAILURES = (Exception, KeyboardInterrupt)


class Engine(Generic[M]):
    """Changes one machine by plans. `tell` gets one line for each thing that was done."""

    def __init__(
        self, machine: M, kinds: Kinds[M], journals: Journals, tell: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._kinds = kinds
        self._journals = journals
        self._tell = tell

    def start(self, plan: Plan[M]) -> bool:
        """Carry out a new plan; False, and no run is noted, when all of it is so already.

        Raises Refused when nothing is changed (any more), StoppedHalfway otherwise.
        """
        with self._journals.lock():
            self.refuse_unfinished()
            self._refuse_conflicts(plan.steps, "this has changed since the plan was made")
            if not any(step.verify(self._machine) for step in plan.steps):
                return False
            steps = tuple(to_json(step) for step in plan.steps)
            try:
                journal = self._journals.create(Header(plan.id, plan.title, plan.created, steps))
            except OSError as error:
                raise Refused(f"the journal cannot be written: {_said(error)}") from None
            with journal:
                self._carry_out(plan.steps, journal)
            return True

    def refuse_unfinished(self) -> None:
        """Raise Refused while a run is between before and after."""
        for run in self._journals.runs():
            if run.damage:
                self._tell(f"warning: {run.damage}")
            elif run.status.unfinished:
                raise Refused(
                    f"the run {run.id} ({run.title}) was cut off half way",
                    f"first finish it: {self._journals.command('--resume', run.id)},"
                    f" or take it back: {self._journals.command(run.id)}",
                )

    def resume(self, run: str) -> Status:
        """Finish what was cut off, forwards or backwards; the status before is returned."""
        with self._journals.lock(), self._journals.open(run) as journal:
            steps, status = self._steps(journal), journal.progress.status
            if status is Status.CUT_OFF:
                self._carry_out(steps, journal)
            elif status is Status.UNDO_CUT_OFF:
                self._take_back(steps, journal)
            return status

    def undo(self, run: str) -> Status:
        """Take a run back; the status before is returned. Raises as `start`."""
        with self._journals.lock(), self._journals.open(run) as journal:
            steps, status = self._steps(journal), journal.progress.status
            if status in (Status.APPLIED, Status.CUT_OFF):
                begun = tuple(steps[number] for number in journal.progress.to_undo())
                self._refuse_conflicts(begun, "undoing would destroy a later change")
                try:
                    journal.append(Event.UNDO, note="asked for")
                except OSError as error:
                    raise Refused(f"the journal cannot be written: {_said(error)}") from None
            if status in (Status.APPLIED, Status.CUT_OFF, Status.UNDO_CUT_OFF):
                self._take_back(steps, journal)
            return status

    def steps(self, run: str) -> tuple[Step[M], ...]:
        """The steps of a run, as its journal has them. Raises InputError."""
        header = self._journals.read(run).header
        return tuple(read_step(step, self._kinds) for step in header.steps) if header else ()

    def _steps(self, journal: Journal) -> tuple[Step[M], ...]:
        return tuple(read_step(step, self._kinds) for step in journal.header.steps)

    def _carry_out(self, steps: tuple[Step[M], ...], journal: Journal) -> None:
        try:
            for number, step in enumerate(steps):
                self._do(step, number, journal)
            journal.append(Event.FINISHED)
        except _FAILURES as error:
            self._give_up(steps, journal, _said(error))

    def _do(self, step: Step[M], number: int, journal: Journal) -> None:
        before = journal.progress.steps.get(number)
        if before in (Event.APPLIED, Event.FOUND):
            return
        missing = step.verify(self._machine)
        if before is None:
            if not missing:
                journal.append(Event.FOUND, number)
                self._tell(f"already so: {step.describe()}")
                return
            self._refuse_conflicts((step,), "this has changed since the plan was made")
            journal.append(Event.APPLYING, number)
        elif missing:
            self._refuse_conflicts((step,), "this has changed since the run was cut off")
        if missing:
            step.apply(self._machine)
            missing = step.verify(self._machine)
        if missing:
            raise HostkitError(f"not done: {'; '.join(missing)}")
        journal.append(Event.APPLIED, number)
        self._tell(f"done: {step.describe()}")

    def _give_up(self, steps: tuple[Step[M], ...], journal: Journal, reason: str) -> None:
        """Take back what this run has done, and raise."""
        if journal.progress.to_undo():
            self._tell(f"failed: {reason}; taking back what was done")
            try:
                journal.append(Event.UNDO, note=reason)
            except OSError as error:
                raise self._halfway(journal, f"{reason}; {_said(error)}") from None
            self._take_back(steps, journal)
        raise Refused(f"{reason}; the host is as it was before")

    def _take_back(self, steps: tuple[Step[M], ...], journal: Journal) -> None:
        try:
            for number in journal.progress.to_undo():
                step = steps[number]
                if journal.progress.steps[number] is not Event.UNDOING:
                    self._refuse_conflicts((step,), "undoing would destroy a later change")
                    journal.append(Event.UNDOING, number)
                step.undo(self._machine)
                wrong = step.restored(self._machine)
                if wrong:
                    raise HostkitError(f"not undone: {'; '.join(wrong)}")
                journal.append(Event.UNDONE, number)
                self._tell(f"undone: {step.describe()}")
            journal.append(Event.RESTORED)
        except _FAILURES as error:
            raise self._halfway(journal, _said(error)) from None

    def _halfway(self, journal: Journal, reason: str) -> StoppedHalfway:
        return StoppedHalfway(
            f"stopped half way: {reason}",
            f"to finish: {self._journals.command('--resume', journal.run)}",
        )

    def _refuse_conflicts(self, steps: tuple[Step[M], ...], why: str) -> None:
        try:
            found = [reason for step in steps for reason in step.conflicts(self._machine)]
        except OSError as error:
            found = [_said(error)]
        if found:
            raise Refused(f"{why}: {'; '.join(found)}")


def _said(error: BaseException) -> str:
    if isinstance(error, HostkitError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return f"{type(error).__name__}: {error}"
