"""Migration operations: what turns a plain table into a tenant's table, and a log into one that nobody can rewrite."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from apps.common.db import TenantForeignKey, TenantOneToOneField

# NULLIF, because a transaction-local setting reads back as an empty string, not NULL, once its transaction has ended.
TENANT_SETTING = "NULLIF(current_setting('app.tenant', true), '')::uuid"
ROLES_UNDER_POLICY = "arun_app, arun_support"
_TENANT_FIELDS = (TenantForeignKey, TenantOneToOneField)


class _TableOperation(Operation):
    reduces_to_sql = True
    reversible = True

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave Django's picture of the models as it is."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model: Any = to_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.alias != "default":
            return
        for statement in self.statements(model):
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Nothing: the table itself goes when the migration that made it is reversed."""

    def statements(self, model: Any) -> list[str]:
        raise NotImplementedError


class SecureTenantTable(_TableOperation):
    """Force row-level security, add the unique `(tenant_id, id)` and the composite foreign keys.

    Put it at the end of the migration that makes the table, after those of the tables it references.
    `append_only` also takes UPDATE and DELETE away from everybody. Where tables refer to each other in a circle, pass
    `references=False` and let `ReferenceTenantTables` add the foreign keys once all tables are secured.
    """

    def __init__(self, model_name: str, *, append_only: bool = False, references: bool = True) -> None:
        super().__init__(model_name)
        self.append_only = append_only
        self.references = references

    def describe(self) -> str:
        return f"Secure the tenant table of {self.model_name}"

    def statements(self, model: Any) -> list[str]:
        table = model._meta.db_table
        rule = f"tenant_id = {TENANT_SETTING}"
        made = [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            f'CREATE POLICY tenant_rows ON "{table}" TO {ROLES_UNDER_POLICY} USING ({rule}) WITH CHECK ({rule})',
            f'CREATE POLICY owner_rows ON "{table}" TO arun_owner USING (true) WITH CHECK (true)',
            f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_tenant_key" UNIQUE (tenant_id, id)',
        ]
        if self.references:
            made += self.all_references(model)
        if self.append_only:
            made += append_only_statements(table)
        return made

    @classmethod
    def all_references(cls, model: Any) -> list[str]:
        fields = [field for field in model._meta.local_fields if isinstance(field, _TENANT_FIELDS)]
        return [cls.reference(model._meta.db_table, field) for field in fields]

    @staticmethod
    def reference(table: str, field: Any) -> str:
        target = field.remote_field.model._meta.db_table
        return (
            f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_{field.column}_same_tenant" '
            f'FOREIGN KEY (tenant_id, "{field.column}") REFERENCES "{target}" (tenant_id, id)'
        )


class ReferenceTenantTables(_TableOperation):
    """Add all composite foreign keys of a table that was secured without them."""

    def describe(self) -> str:
        return f"Tie {self.model_name} to its tenant's rows"

    def statements(self, model: Any) -> list[str]:
        return SecureTenantTable.all_references(model)


class ReferenceSameTenant(_TableOperation):
    """Add the composite foreign key of one `TenantForeignKey` that joins an existing table later."""

    def __init__(self, model_name: str, field_name: str) -> None:
        super().__init__(model_name)
        self.field_name = field_name

    def describe(self) -> str:
        return f"Tie {self.model_name}.{self.field_name} to its tenant"

    def statements(self, model: Any) -> list[str]:
        return [SecureTenantTable.reference(model._meta.db_table, model._meta.get_field(self.field_name))]


class SecureSharedTable(_TableOperation):
    """Secure a table of tenants' rows that a narrow role works on across tenants.

    `app` is what arun_app may do with the open scope's rows; `others` says what each narrow role may do with all rows.
    """

    def __init__(self, model_name: str, *, app: str, others: dict[str, str]) -> None:
        super().__init__(model_name)
        self.app = app
        self.others = others

    def describe(self) -> str:
        return f"Secure the shared table of {self.model_name}"

    def statements(self, model: Any) -> list[str]:
        table = model._meta.db_table
        rule = f"tenant_id = {TENANT_SETTING}"
        made = [
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            f'CREATE POLICY tenant_rows ON "{table}" TO {ROLES_UNDER_POLICY} USING ({rule}) WITH CHECK ({rule})',
            f'CREATE POLICY owner_rows ON "{table}" TO arun_owner USING (true) WITH CHECK (true)',
            f'REVOKE ALL ON "{table}" FROM arun_app',
            f'GRANT {self.app} ON "{table}" TO arun_app',
        ]
        for role, privileges in self.others.items():
            made += [
                f'CREATE POLICY {role}_rows ON "{table}" TO {role} USING (true) WITH CHECK (true)',
                f'GRANT {privileges} ON "{table}" TO {role}',
            ]
        return made


class AppendOnlyTable(_TableOperation):
    """Refuse UPDATE, DELETE and TRUNCATE on a table, the owner's included."""

    def describe(self) -> str:
        return f"Make the table of {self.model_name} append-only"

    def statements(self, model: Any) -> list[str]:
        return append_only_statements(model._meta.db_table)


_REFUSE = "EXECUTE FUNCTION arun_refuse_change()"


def append_only_statements(table: str) -> list[str]:
    """Return the SQL that makes a table append-only. `arun_refuse_change` comes from the first migration."""
    return [
        f'REVOKE UPDATE, DELETE, TRUNCATE ON "{table}" FROM arun_app, arun_support',
        f'CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON "{table}" FOR EACH ROW {_REFUSE}',
        f'CREATE TRIGGER append_only_table BEFORE TRUNCATE ON "{table}" FOR EACH STATEMENT {_REFUSE}',
    ]
