"""What a member of staff fills in."""

from typing import Any

from django import forms

from apps.engine.model.choices import RunLevel
from apps.trading.services.platform_stops import LEAST_REASON


class AccessForm(forms.Form):
    """Why somebody of the staff looks at a customer's account. The customer reads it."""

    reason = forms.CharField(
        min_length=10, max_length=200, help_text="The customer reads this sentence. Name the ticket if there is one."
    )


class LevelForm(forms.Form):
    """A run level above the tenants. The word of the scope is typed out, so that nobody stops the wrong one."""

    level = forms.TypedChoiceField(
        choices=[(str(level.value), level.name) for level in RunLevel],
        coerce=lambda value: RunLevel(int(value)),
        error_messages={"required": "Choose a level."},
    )
    reason = forms.CharField(
        min_length=LEAST_REASON,
        max_length=200,
        help_text="Customers read this sentence. Say what happened, in plain words.",
    )
    word = forms.CharField(required=False)
    request_id = forms.UUIDField()

    def __init__(self, *args: Any, word: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected_word = word

    def clean_word(self) -> str:
        """Refuse anything but the scope's own word."""
        return _typed(self.cleaned_data.get("word", ""), self.expected_word)


class VerdictForm(forms.Form):
    """The second person's answer to a proposal."""

    verdict = forms.ChoiceField(choices=[("approve", "Approve"), ("decline", "Decline")])
    word = forms.CharField(required=False)

    def __init__(self, *args: Any, word: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected_word = word

    def clean(self) -> dict[str, Any]:
        """Ask for the word only where something is going to happen."""
        given = super().clean() or {}
        if given.get("verdict") == "approve":
            try:
                _typed(given.get("word", ""), self.expected_word)
            except forms.ValidationError as error:
                self.add_error("word", error)
        return given


def _typed(given: str, expected: str) -> str:
    if given.strip().lower() != expected.lower():
        raise forms.ValidationError(f"Type {expected} to go on; this says {given.strip() or 'nothing'}.")
    return given
