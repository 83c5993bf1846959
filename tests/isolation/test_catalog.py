"""What PostgreSQL's own catalog says about the walls between tenants."""

import pytest
from django.db import connection

from apps.common.db import tenant_models
from apps.common.tables import DEFINER_FUNCTIONS, GLOBAL_TABLES, SPECIAL_TABLES, UNIQUE_ACROSS_TENANTS

pytestmark = pytest.mark.django_db

TENANT_TABLES = {model._meta.db_table for model in tenant_models()}
WALLED = TENANT_TABLES | set(SPECIAL_TABLES)
RULE = "(tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)"


def _rows(sql: str, *parameters: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _tables() -> dict[str, dict]:
    rows = _rows("""
        SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner),
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    """)
    return {row[0]: {"enabled": row[1], "forced": row[2], "owner": row[3], "has_tenant": row[4]} for row in rows}


def _policies(table: str) -> dict[str, tuple]:
    rows = _rows("SELECT policyname, roles::text[], cmd, qual, with_check FROM pg_policies WHERE tablename = %s", table)
    return {row[0]: row[1:] for row in rows}


def test_tables_each_stand_in_exactly_one_list():
    lists = [TENANT_TABLES, set(SPECIAL_TABLES), set(GLOBAL_TABLES)]

    in_no_list = set(_tables()) - set().union(*lists)
    in_two = (lists[0] & lists[1]) | (lists[0] & lists[2]) | (lists[1] & lists[2])

    assert in_no_list == set()
    assert in_two == set()
    assert set().union(*lists) - set(_tables()) == set()


def test_tables_belong_to_the_owner_role():
    assert {facts["owner"] for facts in _tables().values()} == {"arun_owner"}


def test_tables_with_a_tenant_have_forced_row_security():
    tables = _tables()

    open_tables = [name for name in WALLED if not (tables[name]["enabled"] and tables[name]["forced"])]
    unlisted = [name for name, facts in tables.items() if facts["has_tenant"] and name not in WALLED]

    assert open_tables == []
    assert unlisted == []
    assert [name for name in WALLED - {"tenants_tenant"} if not tables[name]["has_tenant"]] == []


def test_global_tables_have_no_tenant_column():
    assert [name for name in GLOBAL_TABLES if _tables()[name]["has_tenant"]] == []


@pytest.mark.parametrize("table", sorted(WALLED - {"tenants_tenant"}))
def test_policy_of_application_and_support_is_the_tenant_rule(table):
    roles, command, using, check = _policies(table)["tenant_rows"]

    assert set(roles) == {"arun_app", "arun_support"}
    assert (command, using, check) == ("ALL", RULE, RULE)


@pytest.mark.parametrize("table", sorted(WALLED))
def test_policies_open_to_all_rows_name_a_narrow_role(table):
    wide = {name: set(roles) for name, (roles, _, using, _) in _policies(table).items() if using == "true"}

    allowed = {
        "owner_rows": {"arun_owner"},
        "arun_dispatch_rows": {"arun_dispatch"},
        "arun_relay_rows": {"arun_relay"},
        "support_reads_all": {"arun_support"},
    }
    assert wide.items() <= allowed.items()
    assert wide["owner_rows"] == {"arun_owner"}
    if table not in {"tenants_tenant", "tenants_membership"}:
        assert "support_reads_all" not in wide


def test_policies_beside_the_tenant_rule_are_the_known_ones():
    others = {
        (table, name)
        for table in WALLED
        for name, (_, _, using, _) in _policies(table).items()
        if using != "true" and name != "tenant_rows"
    }

    assert others == {("tenants_tenant", "own_tenant"), ("tenants_membership", "own_membership")}


def test_foreign_keys_between_tenant_tables_carry_the_tenant():
    rows = _rows("""
        SELECT conname, conrelid::regclass::text, confrelid::regclass::text,
               (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)),
               (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = confrelid AND attnum = ANY(confkey))
        FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
    """)

    between = [row for row in rows if row[1] in WALLED and row[2] in WALLED and row[2] != "tenants_tenant"]
    without = [row[0] for row in between if "tenant_id" not in row[3] or "tenant_id" not in row[4]]
    to_tenant = [row[0] for row in rows if row[2] == "tenants_tenant" and row[3] != ["tenant_id"]]

    assert len(between) > 10
    assert without == []
    assert to_tenant == []


def test_tenant_foreign_keys_all_have_their_constraint():
    from apps.common.operations import _TENANT_FIELDS

    present = {row[0] for row in _rows("SELECT conname FROM pg_constraint WHERE contype = 'f'")}
    expected = {
        f"{model._meta.db_table}_{field.column}_same_tenant"
        for model in tenant_models()
        for field in model._meta.local_fields
        if isinstance(field, _TENANT_FIELDS)
    }

    assert {name[:63] for name in expected} - present == set()


def test_relations_between_tenant_models_are_tenant_foreign_keys():
    from apps.common.operations import _TENANT_FIELDS

    plain = [
        f"{model.__name__}.{field.name}"
        for model in tenant_models()
        for field in model._meta.local_fields
        if field.is_relation and field.related_model in tenant_models() and not isinstance(field, _TENANT_FIELDS)
    ]

    assert plain == []


def test_unique_keys_of_tenants_start_with_the_tenant():
    rows = _rows(
        """
        SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text,
               (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0])
        FROM pg_index i WHERE i.indisunique AND NOT i.indisprimary AND i.indrelid::regclass::text = ANY(%s)
        """,
        sorted(WALLED - {"tenants_tenant"}),
    )

    across = {name for name, _, first in rows if first != "tenant_id"}

    assert across == set(UNIQUE_ACROSS_TENANTS)


def test_application_roles_cannot_pass_the_walls():
    rows = _rows(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = ANY(%s)",
        ["arun_owner", "arun_app", "arun_dispatch", "arun_relay", "arun_support", "arun_sandbox"],
    )

    assert len(rows) == 6
    assert [row for row in rows if any(row[1:])] == []


def test_application_roles_are_members_of_no_other_role():
    rows = _rows("""
        SELECT pg_get_userbyid(member), pg_get_userbyid(roleid) FROM pg_auth_members
        WHERE pg_get_userbyid(member) LIKE 'arun!_%%' ESCAPE '!'
    """)

    assert rows == []


def _privileges(role: str) -> dict[str, set[str]]:
    rows = _rows(
        """
        SELECT c.relname, p.privilege FROM pg_class c,
               unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(privilege)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND has_table_privilege(%s, c.oid, p.privilege)
        """,
        role,
    )
    found: dict[str, set[str]] = {}
    for table, privilege in rows:
        found.setdefault(table, set()).add(privilege)
    return found


def test_privileges_of_the_narrow_roles_are_the_listed_ones():
    assert _privileges("arun_dispatch") == {"common_workitem": {"SELECT", "UPDATE"}, "trading_pricelevel": {"SELECT"}}
    assert _privileges("arun_relay") == {
        "common_outboxevent": {"SELECT", "UPDATE", "DELETE"},
        "common_tenantstream": {"SELECT", "INSERT", "UPDATE"},
        "common_auditentry": {"SELECT"},
        "common_auditlink": {"SELECT", "INSERT"},
        "common_platformauditentry": {"SELECT"},
        "common_platformauditlink": {"SELECT", "INSERT"},
        "common_heartbeat": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    }


def test_privileges_of_support_are_reading_only():
    assert {frozenset(found) for found in _privileges("arun_support").values()} == {frozenset({"SELECT"})}


def test_privileges_of_the_application_leave_the_tables_alone():
    found = _privileges("arun_app")

    assert [table for table, what in found.items() if what & {"TRUNCATE", "REFERENCES", "TRIGGER"}] == []
    assert found["common_outboxevent"] == {"SELECT", "INSERT"}
    assert found["common_auditentry"] == {"SELECT", "INSERT"}
    assert found["common_auditlink"] == {"SELECT"}
    assert found["common_platformauditentry"] == {"SELECT", "INSERT"}
    assert found["common_platformauditlink"] == {"SELECT"}
    assert found["common_tenantstream"] == {"SELECT"}
    assert found["tenants_tenant"] == {"SELECT", "INSERT", "UPDATE"}


def test_views_and_definer_functions_are_the_reviewed_ones():
    views = _rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')")
    functions = _rows("""
        SELECT proname::text, proconfig, pg_get_userbyid(proowner) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prosecdef
    """)

    assert views == []
    assert {name for name, _, _ in functions} == set(DEFINER_FUNCTIONS)
    assert {tuple(config) for _, config, _ in functions} == {("search_path=pg_catalog, pg_temp",)}
    assert {owner for _, _, owner in functions} == {"arun_owner"}


def test_route_function_is_for_the_application_alone():
    rows = _rows("""
        SELECT rolname::text FROM pg_roles
        WHERE rolname LIKE 'arun!_%%' ESCAPE '!' AND rolname <> 'arun_owner'
          AND has_function_privilege(rolname, 'arun_route(text, text)', 'EXECUTE')
    """)

    assert rows == [("arun_app",)]


def test_support_reads_nothing_that_logs_anybody_in():
    readable = set(_privileges("arun_support"))
    hidden = {
        "account_emailaddress",
        "account_emailconfirmation",
        "accounts_user",
        "django_session",
        "mfa_authenticator",
        "tenants_routekey",
        "usersessions_usersession",
    }
    columns = {
        row[0]
        for row in _rows("""
            SELECT attname::text FROM pg_attribute WHERE attrelid = 'accounts_user'::regclass AND attnum > 0
              AND has_column_privilege('arun_support', attrelid, attnum, 'SELECT')
        """)
    }

    assert readable & hidden == set()
    assert columns == {"id", "email", "name", "is_active", "is_staff", "joined_at", "last_login"}
