"""What the gateway and the reconciler would do next, one step at a time, against a broker in memory."""

from uuid import UUID

from django.db import connection

from apps.brokers.writes import CancelRequest, ModifyRequest, PlaceRequest
from apps.common.db import tenant_scope
from apps.engine.model.choices import Side
from apps.trading.gateway.execute import command_execute, order_execute
from apps.trading.models import OrderIntent, Position, ProtectiveOrder
from apps.trading.reconciler import connection_reconcile
from apps.trading.sweep import order_needs
from tests.kit.broker import FakeBroker
from tests.kit.factories.trading import TradingTenant, make_entry

LOT = 10


class Desk:
    """The two of them, for one tenant."""

    def __init__(self, tenant: TradingTenant, broker: FakeBroker) -> None:
        self.tenant = tenant
        self.broker = broker

    def read(self) -> None:
        connection_reconcile(
            tenant_id=self.tenant.tenant_id, connection_id=self.tenant.connection_id, make_reads=self.broker.reads
        )

    def send(self) -> None:
        """Send every order and command that waits."""
        with tenant_scope(self.tenant.tenant_id):
            waiting = list(OrderIntent.objects.order_by("id").values_list("pk", flat=True))
        for pk in waiting:
            needs = order_needs(tenant_id=self.tenant.tenant_id, intent_id=pk)
            for command in needs.commands if needs else ():
                command_execute(tenant_id=self.tenant.tenant_id, command_id=command, make_broker=self.broker.broker)
            if needs and needs.wants_send:
                order_execute(tenant_id=self.tenant.tenant_id, intent_id=pk, make_broker=self.broker.broker)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.send()
            self.read()

    def buy(self, quantity: int = LOT) -> Position:
        self.read()
        make_entry(self.tenant, quantity=quantity)
        self.turn()
        return self.position()

    def protected(self) -> Position:
        """Buy a lot and let its stop order stand."""
        self.buy()
        self.turn()
        assert self.protective().state == ProtectiveOrder.State.STANDING
        return self.position()

    def position(self) -> Position:
        with tenant_scope(self.tenant.tenant_id):
            return Position.objects.select_related("bot__connection", "bot__parameters", "instrument").get()

    def protective(self) -> ProtectiveOrder:
        with tenant_scope(self.tenant.tenant_id):
            return ProtectiveOrder.objects.select_related("intent").order_by("-created_at")[0]

    def protectives(self) -> list[tuple[str, str, int]]:
        with tenant_scope(self.tenant.tenant_id):
            rows = ProtectiveOrder.objects.order_by("created_at")
            return list(rows.values_list("state", "end", "quantity"))

    def order(self, pk: UUID) -> OrderIntent:
        with tenant_scope(self.tenant.tenant_id):
            return OrderIntent.objects.get(pk=pk)

    def age(self, seconds: float) -> None:
        """Make what was done look older, as PostgreSQL's clock sees it."""
        columns = {
            "trading_ordercommand": ["created_at", "lease_until"],
            "trading_orderintent": [
                "state_changed_at",
                "created_at",
                "unknown_since",
                "sockets_closed_at",
                "lease_until",
                "absent_book_at",
            ],
        }
        with tenant_scope(self.tenant.tenant_id), connection.cursor() as cursor:
            for table, names in columns.items():
                sets = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in names)
                cursor.execute(f'UPDATE "{table}" SET {sets}')

    @property
    def sells(self) -> list[PlaceRequest]:
        return [request for request in self.broker.placed if request.side is Side.SELL]

    @property
    def changes(self) -> list[ModifyRequest]:
        return [request for request in self.broker.log if isinstance(request, ModifyRequest)]

    @property
    def cancels(self) -> list[CancelRequest]:
        return [request for request in self.broker.log if isinstance(request, CancelRequest)]
