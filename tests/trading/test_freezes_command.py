"""Lifting a freeze by hand leaves a name and a reason."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.trading.models import EntryFreeze
from tests.kit.factories.trading import TradingTenant, make_trading_tenant


def freeze(tenant: TradingTenant) -> EntryFreeze:
    with tenant_scope(tenant.tenant_id):
        return EntryFreeze.objects.create(
            connection_id=tenant.connection_id, instrument_id=tenant.instrument_id, reason="OUTSIDE_ORDER"
        )


def test_freeze_is_listed_and_lifted_with_an_audit_row(asha) -> None:
    made = freeze(asha)
    out = StringIO()
    call_command("freezes", str(asha.tenant_id), stdout=out)
    assert str(made.pk) in out.getvalue()

    call_command("freezes", str(asha.tenant_id), lift=str(made.pk), by="ravi", reason="order book read", stdout=out)

    with tenant_scope(asha.tenant_id):
        made.refresh_from_db()
        assert made.cleared_by == "staff:ravi"
        assert AuditEntry.objects.filter(action="freeze.lifted").count() == 1


def test_lifting_without_a_reason_changes_nothing(asha) -> None:
    made = freeze(asha)

    with pytest.raises(CommandError, match="needs --by and --reason"):
        call_command("freezes", str(asha.tenant_id), lift=str(made.pk), by="ravi")

    with tenant_scope(asha.tenant_id):
        made.refresh_from_db()
    assert made.cleared_at is None


def test_strangers_freeze_is_not_found(asha) -> None:
    made = freeze(asha)
    stranger = make_trading_tenant(name="Bala")

    with pytest.raises(CommandError, match="expected the id"):
        call_command("freezes", str(stranger.tenant_id), lift=str(made.pk), by="ravi", reason="x")
