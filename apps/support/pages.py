"""How a page of the staff's own is drawn inside the console."""

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse

from apps.support.site import site


def staff_page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> TemplateResponse:
    """Return the page with the console's side bar around it."""
    request.current_app = site.name
    return TemplateResponse(request, template, {**site.each_context(request), **context}, status=status)
