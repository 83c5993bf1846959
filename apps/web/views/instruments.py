"""The shares of a bot: the table with its inline edit, adding, moving, removing, and lists as files."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.common.audit import user_actor
from apps.common.errors import InvalidInputError
from apps.engine.errors import InvalidParamsError
from apps.tenants.roles import Action
from apps.trading.errors import ImportFileError, ImportRefusedError, InstrumentRefusedError
from apps.trading.models import Bot, InstrumentConfig, InstrumentImport
from apps.trading.selectors import instrument_places
from apps.trading.services.instrument_import import (
    import_keep,
    import_read,
    import_save,
    refused_csv,
    report_from_json,
    shares_csv,
    target_of,
)
from apps.trading.services.instruments import (
    instrument_add,
    instrument_change,
    instrument_move,
    instrument_remove,
    instruments_switch,
)
from apps.web import formats
from apps.web.access import MemberRequest, member
from apps.web.selectors import imports, instruments
from apps.web.selectors.frame import frame
from apps.web.share_forms import ShareForm, UploadForm
from apps.web.views.pages import is_fragment, page, permissions, sheet

Context = dict[str, Any]


@require_safe
@member()
def share_list(request: MemberRequest) -> HttpResponse:
    """The shares of one bot."""
    around = frame()
    bots = instruments.bots_to_choose()
    bot = _chosen(request.GET.get("bot", ""), bots)
    context = _table(request, bot, bots) | {"query": request.GET.get("q", "")[: instruments.LONGEST_SEARCH]}
    if bot is not None and context["query"]:
        context["found"] = instruments.shares_found(bot, context["query"])
    if is_fragment(request):
        return render(request, "fragments/shares.html", context)
    return page(request, "pages/instruments.html", section="instruments", frame=around, context=context)


@require_safe
@member(Action.CONFIGURE)
def share_search(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """What the search finds, to add it; without htmx the whole page with it."""
    query = request.GET.get("q", "")[: instruments.LONGEST_SEARCH]
    if not is_fragment(request):
        return redirect(f"{_list_url(bot_id)}&q={query}" if query else _list_url(bot_id))
    bot = _access_bot(bot_id)
    context = {"bot": bot, "query": query, "found": instruments.shares_found(bot, query)}
    return render(request, "fragments/share_search.html", context)


@require_POST
@member(Action.CONFIGURE)
def share_add(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """Put a share on the bot's list."""
    bot = _access_bot(bot_id)
    try:
        instrument_id = UUID(request.POST.get("instrument", ""))
        config = instrument_add(bot=bot, instrument_id=instrument_id, actor=_actor(request))
    except ValueError as error:
        raise Http404 from error
    except InstrumentRefusedError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{config.instrument.tradingsymbol} is on the list now.")
    return redirect(_list_url(bot.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.CONFIGURE)
def share_edit(request: MemberRequest, config_id: UUID) -> HttpResponse:
    """Edit one share in its row, or on a page of its own without htmx."""
    config = _access_config(config_id)
    params = instruments.bot_params(config.bot)
    form = ShareForm(request.POST if request.method == "POST" else None, config=config, params=params)
    if form.is_valid() and _saved(request, form, config):
        if is_fragment(request):
            return _row(request, config_id, is_focused=True)
        messages.success(request, f"{config.instrument.tradingsymbol} is saved.")
        return redirect(_list_url(config.bot_id))
    context = {"form": form, "config": config, "bot": config.bot, "params": params}
    if is_fragment(request):
        return render(request, "fragments/share_edit.html", context)
    status = 422 if form.errors else 200
    whole = page(request, "pages/share.html", section="instruments", frame=frame(), context=context)
    whole.status_code = status
    return whole


@require_safe
@member()
def share_row(request: MemberRequest, config_id: UUID) -> HttpResponse:
    """One row as it is: what stands there again when an edit is given up."""
    if not is_fragment(request):
        return redirect(_list_url(_access_config(config_id).bot_id))
    return _row(request, config_id, is_focused=True)


@require_POST
@member(Action.CONFIGURE)
def share_switch(request: MemberRequest) -> HttpResponse:
    """Switch the ticked shares on or off."""
    wanted = {"on": True, "off": False}.get(request.POST.get("to", ""))
    if wanted is None:
        raise Http404
    ids = _ids(request.POST.getlist("id"))
    changed = instruments_switch(config_ids=ids, is_enabled=wanted, actor=_actor(request))
    if is_fragment(request) and len(ids) == 1:
        return _row(request, ids[0], is_focused=True)
    if not ids:
        messages.warning(request, "Tick the shares first.")
    else:
        count = "1 share is" if changed == 1 else f"{changed} shares are"
        messages.success(request, f"{count} switched {'on' if wanted else 'off'} now.")
    bots = instruments.bots_to_choose()
    bot = _chosen(request.POST.get("bot", ""), bots)
    return redirect(_list_url(bot.pk) if bot is not None else reverse("web:instruments"))


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.CONFIGURE)
def share_away(request: MemberRequest, config_id: UUID) -> HttpResponse:
    """Move a share to another bot, or take it off the list."""
    config = _access_config(config_id)
    refusal = ""
    if request.method == "POST":
        refusal = _take_away(request, config)
        if not refusal:
            target = _list_url(config.bot_id)
            if is_fragment(request):
                return HttpResponse(status=204, headers={"HX-Redirect": target})
            return redirect(target)
    context = {
        "config": config,
        "refusal": refusal,
        "others": [
            bot
            for bot in instruments.bots_to_choose()
            if bot.connection_id == config.connection_id and bot.pk != config.bot_id
        ],
    }
    return sheet(request, "share_away", context)


@require_safe
@member()
def share_export(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """The bot's shares as a file that can be uploaded again."""
    bot = _access_bot(bot_id)
    return _csv(shares_csv(bot), f"shares of {bot.name}.csv")


# --- lists as files ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.CONFIGURE)
def import_new(request: MemberRequest, bot_id: UUID) -> HttpResponse:
    """Upload a list of shares; the answer is a report, and nothing is saved yet."""
    bot = _access_bot(bot_id)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            report = import_read(file.read(), file_name=file.name or "", target=target_of(bot))
        except ImportFileError as error:
            form.add_error("file", error.message)
        else:
            kept = import_keep(report=report, bot=bot, actor=_actor(request))
            return redirect("web:import", import_id=kept.pk)
    context = {"form": form, "bot": bot, "places": instrument_places(), "columns": imports.column_rows(bot)}
    whole = page(request, "pages/import_new.html", section="instruments", frame=frame(), context=context)
    whole.status_code = 422 if form.errors else 200
    return whole


@require_http_methods(["GET", "HEAD", "POST"])
@member(Action.CONFIGURE)
def import_report(request: MemberRequest, import_id: UUID) -> HttpResponse:
    """The report on an uploaded list, line by line; and saving what was not refused."""
    kept = _access_import(import_id)
    if request.method == "POST":
        try:
            import_save(import_id=kept.pk, actor=_actor(request))
        except ImportRefusedError as error:
            messages.error(request, error.message)
            return redirect("web:instruments")
        return redirect("web:import", import_id=kept.pk)
    view = imports.import_view(kept, chosen=request.GET.get("show", ""), after=request.GET.get("after", ""))
    return page(
        request, "pages/import.html", section="instruments", frame=frame(), context={"view": view, "bot": kept.bot}
    )


@require_safe
@member(Action.CONFIGURE)
def import_refused(request: MemberRequest, import_id: UUID) -> HttpResponse:
    """The refused lines as a file with the reasons, to be mended and uploaded again."""
    kept = _access_import(import_id)
    stem = kept.file_name.rpartition(".")[0] or kept.file_name
    return _csv(refused_csv(report_from_json(kept.report)), f"{stem} refused.csv")


# --- both -------------------------------------------------------------------------------------------------------------


def _table(request: MemberRequest, bot: Bot | None, bots: tuple[Bot, ...]) -> Context:
    return {"view": None if bot is None else instruments.shares_view(bot, bots), **permissions(request)}


def _row(request: MemberRequest, config_id: UUID, *, is_focused: bool) -> HttpResponse:
    config = _access_config(config_id)
    context = {
        "row": instruments.share_row(config),
        **permissions(request),
        "is_focused": is_focused,
    }
    return render(request, "fragments/share_row.html", context)


def _saved(request: MemberRequest, form: ShareForm, config: InstrumentConfig) -> bool:
    """Save a valid form, or put what is wrong beside its fields."""
    data = form.cleaned_data
    try:
        instrument_change(
            config_id=config.pk,
            is_enabled=data["is_enabled"],
            own=form.own(),
            baseline_quantity=data["baseline"],
            shown_version=data["version"],
            shown_baseline=data["baseline_shown"],
            actor=_actor(request),
        )
    except InvalidParamsError as error:
        form.add_faults(error.faults)
    except InvalidInputError as error:
        form.add_error("baseline", f"Expected {error.expected}, got {error.got}.")
    except InstrumentRefusedError as error:
        form.add_error(None, error.message)
    return not form.errors


def _take_away(request: MemberRequest, config: InstrumentConfig) -> str:
    """Move or remove the share; return why not, or nothing."""
    name = config.instrument.tradingsymbol
    try:
        if request.POST.get("do") == "move":
            bot = _access_bot_named(request.POST.get("bot", ""))
            instrument_move(config_id=config.pk, bot=bot, actor=_actor(request))
            messages.success(request, f"{name} is watched by {bot.name} now.")
        elif request.POST.get("do") == "remove":
            instrument_remove(config_id=config.pk, actor=_actor(request))
            messages.success(request, f"{name} is off the list. What happened with it stays in your records.")
        else:
            raise Http404
    except InstrumentRefusedError as error:
        return error.message
    return ""


def _chosen(text: str, bots: tuple[Bot, ...]) -> Bot | None:
    """Return the bot that the address names, or the first one. A stranger's bot and a missing one are not found."""
    if not text:
        return bots[0] if bots else None
    bot = next((bot for bot in bots if str(bot.pk) == text), None)
    if bot is None:
        raise Http404
    return bot


def _access_bot(bot_id: UUID) -> Bot:
    bot = next((bot for bot in instruments.bots_to_choose() if bot.pk == bot_id), None)
    if bot is None:
        raise Http404
    return bot


def _access_bot_named(text: str) -> Bot:
    try:
        return _access_bot(UUID(text))
    except ValueError as error:
        raise Http404 from error


def _access_config(config_id: UUID) -> InstrumentConfig:
    try:
        return instruments.access_config(config_id)
    except InstrumentConfig.DoesNotExist as error:
        raise Http404 from error


def _access_import(import_id: UUID) -> InstrumentImport:
    try:
        return imports.access_import(import_id)
    except InstrumentImport.DoesNotExist as error:
        raise Http404 from error


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return list(dict.fromkeys(UUID(text) for text in texts))
    except ValueError as error:
        raise Http404 from error


def _actor(request: MemberRequest) -> str:
    return user_actor(request.user.pk)


def _list_url(bot_id: UUID) -> str:
    return f"{reverse('web:instruments')}?bot={bot_id}"


def _csv(text: str, name: str) -> HttpResponse:
    """Return a file that a spreadsheet opens in the right encoding."""
    response = HttpResponse("\ufeff" + text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{formats.file_name(name)}"'
    return response
