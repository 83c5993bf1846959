"""Every table of the platform, by how its rows are kept apart. A table in none of these lists fails a test.

Tenant tables are not written here: they are the models that inherit `TenantModel`.
"""

from collections.abc import Mapping

# Tables without a tenant: nothing in them tells about anybody's trading.
GLOBAL_TABLES: Mapping[str, str] = {
    "accounts_user": "people; what a person may see hangs on memberships",
    "accounts_totpuse": "the step of the last second factor's code that a person used",
    "accounts_user_groups": "Django's own; no group is used",
    "accounts_user_user_permissions": "Django's own; no permission is used",
    "account_emailaddress": "allauth: a person's addresses",
    "account_emailconfirmation": "allauth: pending confirmations",
    "auth_group": "Django's own",
    "auth_group_permissions": "Django's own",
    "auth_permission": "Django's own",
    "common_heartbeat": "when a component was last seen",
    "common_platformauditentry": "what the operator's staff did to the whole platform; no tenant's data",
    "common_platformauditlink": "the chain of the same",
    "django_admin_log": "Django's own; the staff console writes audit rows instead",
    "django_content_type": "Django's own",
    "django_migrations": "Django's own; only the owner writes it",
    "django_session": "sessions, found by their random key",
    "market_candle": "prices, the same for everybody",
    "market_formersymbol": "symbols of the past, the same for everybody",
    "market_indexmember": "which shares an index holds, the same for everybody",
    "market_instrument": "what can be traded, the same for everybody",
    "market_instrumentterm": "the words an instrument is found by",
    "market_marketchange": "who brought what into the market's tables",
    "market_marketday": "the exchanges' calendar",
    "market_marketsession": "the exchanges' calendar",
    "market_quarantinedcandle": "bars of feeds that were not believed",
    "market_recordedbar": "prices of the past, the same for everybody",
    "market_recording": "prices of the past, the same for everybody",
    "market_rejectedrow": "rows of public lists that were left out",
    "mfa_authenticator": "allauth: a person's second factors, sealed",
    "subscriptions_plan": "what is sold, the same for everybody",
    "trading_platformcontrol": "run control above the tenants",
    "trading_platformstopacknowledgement": "their answers: counts over all tenants, no name of an order",
    "trading_platformstopescalation": "what was done when one took too long; names processes",
    "trading_platformstopprogress": "how far their drains have come: counts",
    "trading_platformstopproposal": "levels that wait for a second member of the staff",
    "trading_platformstoprequest": "stops by the operator above the tenants",
    "trading_platformstopverdict": "what the second member of the staff said",
    "usersessions_usersession": "allauth: a person's sessions",
}

# Tables with tenants' rows whose policies differ from `SecureTenantTable`, and which narrow role sees all rows.
SPECIAL_TABLES: Mapping[str, str] = {
    "tenants_tenant": "its own id is the tenant; a person also sees the tenants of their memberships",
    "common_workitem": "arun_dispatch claims due work of all tenants",
    "common_outboxevent": "arun_relay numbers and delivers all tenants' events",
    "common_tenantstream": "arun_relay counts all tenants' streams",
    "trading_pricelevel": "arun_dispatch compares all tenants' open levels with the prices of a feed",
    "common_auditlink": "arun_relay seals all tenants' chains",
}

# Unique keys of tenants' tables that hold across tenants on purpose: a clash may tell what another tenant has.
UNIQUE_ACROSS_TENANTS: Mapping[str, str] = {
    "route_key_once": "one webhook path, API key or customer belongs to one tenant",
    "fill_once": "a broker's trade of one account is one fill, whoever connected the account",
    "trading_orderintent_intent_key_key": "made from the tenant's id, so two tenants cannot meet in it",
    "trading_orderintent_client_order_id_key": "brokers see it without the tenant; random to others",
    "trading_stoprequest_epoch_key": "one sequence for the whole platform, so that stops have one order",
    "trading_accountstate_connection_id_key": "one row for a connection, whose own key holds the tenant",
    "trading_protectiveorder_intent_id_key": "one row for an order, whose own key holds the tenant",
    "trading_stopacknowledgement_stop_id_key": "one row for a stop, whose own key holds the tenant",
}

# Functions that run with their owner's rights. Each was reviewed for what it can give away.
DEFINER_FUNCTIONS: Mapping[str, str] = {
    "arun_route": "answers one exact hash with one tenant, and cannot list",
}
