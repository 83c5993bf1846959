"""Which history PostgreSQL is on. A restore or a failover starts another one, and may have forgotten orders."""

from django.db import connection


def database_timeline() -> str:
    """Return the cluster's system identifier and its timeline, as PostgreSQL's control file has them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT system_identifier::text || '/' || "
            "(SELECT timeline_id FROM pg_control_checkpoint()) FROM pg_control_system()"
        )
        row = cursor.fetchone()
    if row is None:
        raise TypeError("PostgreSQL gave no control data")
    return str(row[0])
