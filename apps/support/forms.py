"""What a member of staff fills in."""

from django import forms


class AccessForm(forms.Form):
    """Why somebody of the staff looks at a customer's account. The customer reads it."""

    reason = forms.CharField(
        min_length=10, max_length=200, help_text="The customer reads this sentence. Name the ticket if there is one."
    )
