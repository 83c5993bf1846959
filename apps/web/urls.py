"""Addresses of the pages. Every one that shows a tenant's rows takes the tenant from the session, never from here."""

from django.urls import path

from apps.web.views import bots, home, instruments, live, notices, outside, positions, public, start, style, trading

app_name = "web"

urlpatterns = [
    path("", public.landing, name="landing"),
    path("strategy/", public.strategy, name="strategy"),
    path("style/", style.style, name="style"),
    path("start/", start.start, name="start"),
    path("home/", home.home, name="home"),
    path("home/part/<slug:name>/", home.part, name="home_part"),
    path("bots/<uuid:bot_id>/level/<slug:slug>/", bots.level, name="level"),
    path("bots/<uuid:bot_id>/revoke/", bots.revoke, name="revoke"),
    path("stops/<uuid:stop_id>/", bots.stop, name="stop"),
    path("stops/operator/<uuid:effect_id>/", bots.operator_stop, name="operator_stop"),
    path("positions/", positions.position_list, name="positions"),
    path("positions/close-all/", positions.close_all, name="close_all"),
    path("positions/closed/<uuid:request_id>/", positions.closed, name="closed"),
    path("positions/<uuid:position_id>/close/", positions.close, name="close"),
    path("positions/<uuid:position_id>/levels/", positions.levels, name="levels"),
    path("positions/<uuid:position_id>/why/", positions.why, name="lot_story"),
    path("positions/outside/<uuid:freeze_id>/<slug:slug>/", outside.answer, name="outside"),
    path("positions/outside/answers/<uuid:trade_id>/", outside.answered, name="answered"),
    path("instruments/", instruments.share_list, name="instruments"),
    path("instruments/switch/", instruments.share_switch, name="share_switch"),
    path("instruments/<uuid:config_id>/", instruments.share_edit, name="share"),
    path("instruments/<uuid:config_id>/row/", instruments.share_row, name="share_row"),
    path("instruments/<uuid:config_id>/away/", instruments.share_away, name="share_away"),
    path("instruments/imports/<uuid:import_id>/", instruments.import_report, name="import"),
    path("instruments/imports/<uuid:import_id>/refused.csv", instruments.import_refused, name="import_refused"),
    path("bots/<uuid:bot_id>/shares/search/", instruments.share_search, name="share_search"),
    path("bots/<uuid:bot_id>/shares/add/", instruments.share_add, name="share_add"),
    path("bots/<uuid:bot_id>/shares/import/", instruments.import_new, name="import_new"),
    path("bots/<uuid:bot_id>/shares.csv", instruments.share_export, name="share_export"),
    path("orders/", trading.order_list, name="orders"),
    path("orders/<uuid:order_id>/", trading.order_detail, name="order"),
    path("trades/", trading.trade_list, name="trades"),
    path("decisions/<uuid:decision_id>/", trading.decision_detail, name="decision"),
    path("decisions/<uuid:decision_id>/replay/", trading.decision_replay, name="replay"),
    path("notifications/", notices.notice_list, name="notifications"),
    path("notifications/read/", notices.notice_mark_read, name="notifications_read"),
    path("notifications/bell/", notices.notice_bell, name="notifications_bell"),
    path("notifications/choices/", notices.notice_choices, name="notification_choices"),
    path("notifications/<uuid:notification_id>/", notices.notice_detail, name="notification"),
    path("notifications/<uuid:notification_id>/open/", notices.notice_open, name="notification_open"),
    path("notifications/<uuid:notification_id>/mark/", notices.notice_mark, name="notification_mark"),
    path("live/since/", live.since, name="live_since"),
]
