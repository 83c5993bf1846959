"""What can be wrong with the set-up of an account. The messages are for the person who sets it up."""

from apps.common.errors import DomainError
from apps.onboarding.choices import Step


class StepOrderError(DomainError):
    """An answer to a step that is not open yet. Nothing was kept; show the step that is."""

    code = "step_order"

    def __init__(self, step: Step) -> None:
        super().__init__(f"Step {int(step)} comes first.", data={"step": int(step)})
        self.step = step


class SetupDoneError(DomainError):
    """The set-up is over. Change the bot on its own pages."""

    code = "setup_done"


class SetupRefusedError(DomainError):
    """An answer cannot be taken like this. Nothing of it was kept."""

    code = "setup_refused"
