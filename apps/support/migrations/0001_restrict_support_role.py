"""The support role reads tenants' rows to help, and nothing that logs anybody in."""

from django.conf import settings
from django.db import migrations

HIDDEN = (
    "account_emailaddress",
    "account_emailconfirmation",
    "django_admin_log",
    "django_session",
    "mfa_authenticator",
    "tenants_routekey",
    "usersessions_usersession",
)
RESTRICT = f"""
REVOKE SELECT ON {", ".join(HIDDEN)} FROM arun_support;
REVOKE SELECT ON accounts_user FROM arun_support;
GRANT SELECT (id, email, name, is_active, is_staff, joined_at, last_login) ON accounts_user TO arun_support;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM arun_app;
"""  # noqa: S608 - constants of this migration
OPEN = f"GRANT SELECT ON accounts_user, {', '.join(HIDDEN)} TO arun_support"


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0009_emailaddress_unique_primary_email"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("sessions", "0001_initial"),
        ("tenants", "0001_add_tenant_membership_route_key"),
        ("usersessions", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [migrations.RunSQL(RESTRICT, OPEN)]
