"""Tenants and who belongs to them, behind row policies from the first row on."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.common.ids
from apps.common.operations import TENANT_SETTING, SecureTenantTable

APP_USER = "NULLIF(current_setting('app.user', true), '')::uuid"

# The tenant's own row follows the scope. Before a scope is open, a person sees the tenants of their own memberships.
SECURE_TENANT = f"""
ALTER TABLE tenants_tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants_tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON tenants_tenant TO arun_app, arun_support
    USING (id = {TENANT_SETTING}) WITH CHECK (id = {TENANT_SETTING});
CREATE POLICY owner_rows ON tenants_tenant TO arun_owner USING (true) WITH CHECK (true);
CREATE POLICY own_tenant ON tenants_tenant FOR SELECT TO arun_app
    USING (id IN (SELECT tenant_id FROM tenants_membership WHERE user_id = {APP_USER}));
CREATE POLICY support_reads_all ON tenants_tenant FOR SELECT TO arun_support USING (true);
REVOKE DELETE ON tenants_tenant FROM arun_app;
"""  # noqa: S608 - a constant of this project, no input

OPEN_MEMBERSHIP_TO_ITS_PERSON = f"""
CREATE POLICY own_membership ON tenants_membership FOR SELECT TO arun_app USING (user_id = {APP_USER});
CREATE POLICY support_reads_all ON tenants_membership FOR SELECT TO arun_support USING (true);
"""

# Runs as the owner, whose policy sees all rows: it answers one exact hash with one tenant, and cannot list.
ROUTE = """
CREATE FUNCTION arun_route(wanted_kind text, wanted_hash text) RETURNS uuid
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT tenant_id FROM public.tenants_routekey WHERE kind = wanted_kind AND key_hash = wanted_hash';
REVOKE ALL ON FUNCTION arun_route(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION arun_route(text, text) TO arun_app;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("common", "0001_add_roles_and_functions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=120)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("closing", "Closing: exits only"), ("closed", "Closed")],
                        default="active",
                        max_length=16,
                    ),
                ),
                ("is_demo", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name="RouteKey",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("webhook", "webhook path"),
                            ("stripe_customer", "Stripe customer"),
                            ("api_key", "API key"),
                            ("invitation", "invitation"),
                            ("egress", "egress address"),
                            ("stop_link", "one-tap stop link"),
                        ],
                        max_length=24,
                    ),
                ),
                ("key_hash", models.CharField(help_text="SHA-256 of the key, hexadecimal.", max_length=64)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("kind", "key_hash"), name="route_key_once")],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "Owner"), ("manager", "Manager"), ("viewer", "Viewer")],
                        default="viewer",
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "user"), name="membership_once")],
            },
        ),
        SecureTenantTable("Membership"),
        SecureTenantTable("RouteKey"),
        migrations.RunSQL(SECURE_TENANT, migrations.RunSQL.noop),
        migrations.RunSQL(OPEN_MEMBERSHIP_TO_ITS_PERSON, migrations.RunSQL.noop),
        migrations.RunSQL(ROUTE, "DROP FUNCTION arun_route(text, text)"),
    ]
