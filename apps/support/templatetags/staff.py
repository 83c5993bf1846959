"""Filters of the staff console's templates."""

from django import template

register = template.Library()


@register.filter
def words(text: str) -> list[str]:
    """Return the comma-separated words of a text."""
    return text.split(",")
