"""The order protocol's tables refuse what the protocol forbids, whatever the code above them believes."""

import re
from pathlib import Path

from apps.engine.execution.states import TRANSITIONS
from apps.trading import migrations


def test_arrows_of_the_database_are_those_of_the_engine() -> None:
    folder = Path(next(iter(migrations.__path__)))
    source = "".join(path.read_text() for path in sorted(folder.glob("0*.py")))

    arrows = set(re.findall(r"'([A-Z]+)>([A-Z]+)'", source))

    assert arrows == {(str(a), str(b)) for a, after in TRANSITIONS.items() for b in after if a != b}


def test_tables_exist(db: None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trading_platformcontrol")
        assert cursor.fetchone() == (1,)
