"""The ground under all tables: the roles exist, and nobody rewrites an append-only log."""

from django.db import migrations

CHECK_ROLES = """
DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['arun_owner', 'arun_app', 'arun_dispatch', 'arun_relay', 'arun_support'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            RAISE EXCEPTION 'role % is missing: run manage.py provision_database first', role_name;
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_roles
        WHERE rolname IN ('arun_app', 'arun_dispatch', 'arun_relay', 'arun_support')
          AND (rolsuper OR rolbypassrls)
    ) THEN
        RAISE EXCEPTION 'an application role may bypass row-level security';
    END IF;
END $$;
"""

REFUSE_CHANGE = """
CREATE FUNCTION arun_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = []
    operations = [
        migrations.RunSQL(CHECK_ROLES, migrations.RunSQL.noop),
        migrations.RunSQL(REFUSE_CHANGE, "DROP FUNCTION arun_refuse_change()"),
    ]
