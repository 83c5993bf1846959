"""The form of how a member wants to be told."""

from typing import Any

from django import forms

from apps.notifications.choices import Choices


def _switch(label: str) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False)


def _clock(label: str) -> forms.TimeField:
    return forms.TimeField(
        label=label,
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": "Write a time such as 22:30."},
    )


class NoticeChoicesForm(forms.Form):
    """What rings and what is mailed, without a word about danger: it always is."""

    bell_warning = _switch("Needs you: ring the bell")
    mail_warning = _switch("Needs you: send a mail")
    bell_info = _switch("For information: ring the bell")
    mail_info = _switch("For information: send a mail")
    quiet_from = _clock("Quiet from")
    quiet_until = _clock("Quiet until")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        start, end = data.get("quiet_from"), data.get("quiet_until")
        if (start is None) != (end is None) and not self.errors:
            missing = "quiet_from" if start is None else "quiet_until"
            self.add_error(missing, "Quiet hours need both times, or neither.")
        if start is not None and start == end:
            self.add_error("quiet_until", "The quiet hours would have no end. Choose another time.")
        return data

    def choices(self) -> Choices:
        """Return the valid form's content."""
        data = self.cleaned_data
        return Choices(
            bell_warning=data["bell_warning"],
            bell_info=data["bell_info"],
            mail_warning=data["mail_warning"],
            mail_info=data["mail_info"],
            quiet_from=data["quiet_from"],
            quiet_until=data["quiet_until"],
        )
